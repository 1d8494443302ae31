"""MLflow: the only place that knows its client."""
