"""How often the judge is wrong and how fast it is right: thousands of simulated rollouts through the product's own code.

    python -m bench.judge --rps 50 --rate-stable 0.005 --rate-candidate 0.02 --rollouts 1000 --seed 1 [--json]
    python -m bench.judge --write-docs

Only requests and their errors are made up. Every window goes through the operator's analysis, and the operator's decision core
decides whenever a verdict changes or its own time has come, in a cluster that obeys at once. Without a setting the reference
table and all scenes of false rollback are played; the last command puts them into docs/benchmarks.md.
"""
