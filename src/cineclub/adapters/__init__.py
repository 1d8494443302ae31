"""The adapters to PostgreSQL, MLflow, the disk and Prometheus."""
