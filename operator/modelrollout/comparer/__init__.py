"""The comparer: hands mirrored requests on to candidate and stable, and counts where their answers differ.

A server of its own with an image of its own, so it imports nothing of the operator; `workload.comparer` runs it. Whoever mirrors a
request never waits for it: a request is taken with 202 and worked off from a bounded queue. What is too much is dropped and counted.
"""
