"""The registry under test."""

from registry_fixtures import bench, bench_database, mlflow_template, open_promotion

__all__ = ["bench", "bench_database", "mlflow_template", "open_promotion"]
