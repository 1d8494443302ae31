"""Fitted models as folders of plain arrays: written once, checked by hash, mapped into memory when served."""

from cineclub.adapters.model_store.reading import read_artifact, read_snapshot_identity
from cineclub.adapters.model_store.store import LocalModelStore, clear_unfinished
from cineclub.adapters.model_store.verification import verify_artifact
from cineclub.adapters.model_store.writing import adopt_artifact, write_artifact

__all__ = [
    "LocalModelStore",
    "adopt_artifact",
    "clear_unfinished",
    "read_artifact",
    "read_snapshot_identity",
    "verify_artifact",
    "write_artifact",
]
