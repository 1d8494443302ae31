"""The store that a decision about what serves looks into."""

from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
