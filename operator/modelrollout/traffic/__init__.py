"""Routers, pure: what a share of traffic looks like as objects, and what those objects show of it."""
