"""How a candidate is judged: pure arithmetic on counts, no I/O, no clock."""
