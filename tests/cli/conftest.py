"""A home whose embedded PostgreSQL runs for the whole module, shared by its commands."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cineclub.bootstrap import storage
from cineclub.settings import Settings


@pytest.fixture(scope="module")
def connected() -> Iterator[Settings]:
    """Settings of a home without ratings, with the address of its running database."""
    folder = Path(tempfile.mkdtemp(prefix="cineclub-test-"))
    folder.chmod(0o711)
    try:
        with storage.database(Settings(home=folder)) as settings:
            yield settings
    finally:
        shutil.rmtree(folder, ignore_errors=True)
