"""The MLflow store of the watched service."""

from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
