"""The MLflow store of the worker under test."""

from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
