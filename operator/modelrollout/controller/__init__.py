"""reconcile(key): observe, decide, record, act. The one place where the pure core meets the cluster."""
