"""What talks to the outside: PostgreSQL, MLflow, the disk, Prometheus."""
