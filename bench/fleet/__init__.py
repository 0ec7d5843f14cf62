"""What a fleet of rollouts costs: one operator process, N canaries at the same time, a real API server, played pods.

    python -m bench.fleet --rollouts 200 --minutes 2 [--json] [--write-docs]

The operator runs as a process of its own with its ordinary settings. Beside it run a kwok cluster that is made for the
measurement and taken down again, a gateway controller that accepts every route, and a Prometheus that is played from the pods
and weights of the fleet. Requests are counted twice, by the operator and by the API server; CPU and memory are read from the
kernel. Nothing that the bench itself needs is counted: it has its own processes and its own connection.
"""
