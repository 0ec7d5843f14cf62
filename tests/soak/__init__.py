"""The soak: dozens of rollouts under random faults for as long as one likes. Everything random comes from one seed."""
