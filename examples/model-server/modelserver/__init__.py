"""A small model server: one scikit-learn model behind `POST /predict`, with health, metrics and faults on request."""
