"""The API server: the one protocol for it, server-side apply, status writes, Events, pods, and the leader's Lease."""
