"""How often an attack is repeated: ``make test-attack`` repeats it in full, ``ATTACK=short`` a share of that."""

import os
from typing import Final

import pytest

from registry_fixtures import bench_database, mlflow_template

__all__ = ["Repetitions", "bench_database", "mlflow_template", "repetitions"]

SHORT_SHARE: Final = 8  # a short run repeats every attack an eighth as often


class Repetitions:
    """The number of repetitions of an attack."""

    def __init__(self, *, short: bool) -> None:
        """Repeat in full, or a share of it."""
        self.short = short

    def of(self, full: int, least: int = 1) -> int:
        """Return the repetitions of this run: ``full``, or in a short run an eighth of it, at least ``least``."""
        return max(least, full // SHORT_SHARE) if self.short else full


@pytest.fixture
def repetitions() -> Repetitions:
    """The repetitions that ``ATTACK`` asks for; a full run is the default."""
    return Repetitions(short=os.environ.get("ATTACK", "full") == "short")
