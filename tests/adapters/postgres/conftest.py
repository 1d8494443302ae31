"""A database with MLflow's tables beside ours."""

from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
