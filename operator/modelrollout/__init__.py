"""ModelRollout: a Kubernetes operator that puts new versions of machine-learning models into production safely."""

__version__ = "0.1.0"
