"""The first contact: one command that shows a healthy model promoted and two bad ones taken back, for real.

    python -m demo up [--cluster local|kind|existing]
    python -m demo down

Nothing here is staged: the operator is installed from the chart, requests go through a real gateway, a real Prometheus is
asked, and what is printed is what kubectl prints. `story.py` is the script, the manifests beside it are its actors, and
everything else sets the stage: `places.py` (files), `stage.py` (cluster and images), `install.py` (chart), `traffic.py`
(users), `kube.py` (kubectl), `screen.py` (what a person sees). An act that does not end as promised ends the demo with 1.
"""
