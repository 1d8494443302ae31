"""Rows of ``cineclub.trainings`` as values of the domain, and the names of workers in them."""

import socket
import uuid
from os import getpid
from typing import Any, cast

from cineclub.domain.documents import to_document
from cineclub.domain.training.records import StepProgress, Training
from cineclub.runtime.redaction import redacted


def training_of(row: dict[str, Any]) -> Training:
    """Return the training of a row."""
    progress = row["progress"]
    return Training(
        training_id=str(row["id"]),
        status=row["status"],
        reason=row["reason"],
        options=row["options"] or {},
        requested_at=row["requested_at"],
        trigger=row["trigger"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        progress=StepProgress(**progress) if progress else None,
        attempt=row["attempt"],
        cancel_requested=row["cancel_requested"],
        error=redacted(row["error"]) if row["error"] else None,
        report=row["report"],
    )


def progress_document(progress: StepProgress) -> dict[str, Any]:
    """Return a progress as the column holds it."""
    return cast("dict[str, Any]", to_document(progress))


def worker_name() -> str:
    """Return a unique, readable name of this process as a worker."""
    return f"{socket.gethostname()}:{getpid()}:{uuid.uuid4().hex[:8]}"
