"""The MLflow store for requests that change production."""

from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
