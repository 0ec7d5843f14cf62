"""Objects of a ModelDeployment, pure: what a spec makes, runtime presets, records; and the acceptance of a spec."""
