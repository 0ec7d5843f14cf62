"""Prometheus: providers, questions, and the Sampler that turns counters of all rollouts into disjoint windows."""
