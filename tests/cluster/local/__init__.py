"""A real cluster on one Linux machine, made of host processes and no image registry."""
