"""Rows of ``cineclub.trainings`` as the values of the ports."""

import socket
import uuid
from os import getpid
from typing import Any

from cineclub.domain.documents import to_document
from cineclub.ports import StepProgress, Training


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
        error=row["error"],
        report=row["report"],
    )


def progress_document(progress: StepProgress) -> dict[str, Any]:
    """Return a progress as the column holds it."""
    document: dict[str, Any] = to_document(progress)
    return document


def worker_name() -> str:
    """Return a name for this process that no other has or will have, readable in the table."""
    return f"{socket.gethostname()}:{getpid()}:{uuid.uuid4().hex[:8]}"
