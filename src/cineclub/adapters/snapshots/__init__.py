"""The ratings that trainings learned from, as Parquet files under their hashes."""

from cineclub.adapters.snapshots.archive import SnapshotArchive

__all__ = ["SnapshotArchive"]
