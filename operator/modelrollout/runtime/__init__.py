"""What keeps the process going: clock, queue, Store, supervisor, write budgets and telemetry. It knows no Kubernetes client."""
