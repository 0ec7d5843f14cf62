"""Rollout semantics, pure: plans, rules, decisions, weights, capacity, revisions, conditions."""
