"""A fitted model as a folder of plain arrays: written once, checked by hash, mapped into memory when served."""

from cineclub.adapters.artifacts.reading import read_artifact, read_snapshot_identity
from cineclub.adapters.artifacts.verification import verify_artifact
from cineclub.adapters.artifacts.writing import adopt_artifact, write_artifact

__all__ = ["adopt_artifact", "read_artifact", "read_snapshot_identity", "verify_artifact", "write_artifact"]
