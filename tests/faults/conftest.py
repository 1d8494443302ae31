"""The store that the dying workers register in."""

from registry_fixtures import bench, bench_database, mlflow_template, open_registry

__all__ = ["bench", "bench_database", "mlflow_template", "open_registry"]
