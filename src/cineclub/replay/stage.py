"""The throw-away service of a month: the past imported, `cineclub serve` as a process, what is done to it."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cineclub import bootstrap, supervisor
from cineclub.domain.errors import CineclubError
from cineclub.domain.imported_ratings import ImportedRatings
from cineclub.domain.ratings import RatingScale
from cineclub.domain.replay.calendar import Calendar
from cineclub.ports import ImportProgress
from cineclub.replay.plan import MonthPlan
from cineclub.settings import Settings

SERVE = (sys.executable, "-c", "from cineclub.cli.main import main; main()", "serve")
OURS = ("CINECLUB_", "MLFLOW_")
LOOK_SECONDS = 0.2
LIVE_SECONDS = 180.0
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Past:
    """Implements the port ``RatingSource``: what is rated before the month, dated so that it ends where that begins."""

    whole: ImportedRatings
    calendar: Calendar
    begins_at: float
    day_seconds: float

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.whole.scale

    def read(self, _scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return the ratings of the past, and every film: new ones come without a rating."""
        progress(1.0, "date ratings")
        rows, past = self.whole.rows, self.calendar.past
        ages = (self.calendar.days_before * self.day_seconds * MICROSECONDS).astype(np.int64)
        dated = replace(
            rows,
            user_codes=rows.user_codes[past],
            movie_codes=rows.movie_codes[past],
            ratings=rows.ratings[past],
            rated_at=int(self.begins_at * MICROSECONDS) - ages,
        ).compacted()
        return ImportedRatings(self.whole.scale, dated, self.whole.movies, len(dated), (), ())


@dataclass(frozen=True, slots=True)
class Stage:
    """The service while it runs, and what can be done to it."""

    settings: Settings
    service: supervisor.Child

    @property
    def address(self) -> str:
        """Where it answers."""
        return supervisor.address_of(self.settings)

    def kill_worker(self) -> None:
        """End the worker as a lack of memory does; the supervisor starts another.

        Raises:
            CineclubError: there is none, or no /proc to find it in.
        """
        for pid in _children_of(self.service):
            if "cineclub.worker" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace"):
                os.kill(pid, signal.SIGKILL)
                return
        message = "there is no worker to kill: this scenario needs Linux, with /proc"
        raise CineclubError(message)

    def stop_database(self) -> None:
        """Stop PostgreSQL under the service, every connection cut; the supervisor starts it again."""
        bootstrap.stop_embedded_server(self.settings)


@contextmanager
def throw_away_folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="cineclub-month-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ratings_of(plan: MonthPlan) -> ImportedRatings:
    """Return every valid rating of the plan's path, or of the demo data.

    Raises:
        InvalidInput: there is nothing there that is known, or no scale.
    """
    source = bootstrap.rating_source(plan.path, None, None) if plan.path else bootstrap.demo_source()
    if source.scale is None:
        message = f"{plan.path} does not say what its ratings may be: import it, export it, and replay the export"
        raise CineclubError(message)
    return source.read(source.scale, _silent)


@contextmanager
def running_stage(settings: Settings, past: Past) -> Iterator[Stage]:
    """Give the service with the past imported; it is stopped afterwards.

    Raises:
        CineclubError: it does not start.
    """
    with bootstrap.database(settings) as connected:
        rejects = settings.home / "rejects.csv"
        bootstrap.import_ratings(connected, past, rejects, strict=False, progress=_silent)
    service = supervisor.Child("serve", _environment(settings), settings.home / "serve.log", SERVE)
    service.start()
    try:
        _wait_until_live(settings, service)
        yield Stage(settings, service)
    finally:
        service.stop()


def _wait_until_live(settings: Settings, service: supervisor.Child) -> None:
    """Return once the service answers."""
    deadline = time.monotonic() + LIVE_SECONDS
    while not supervisor.is_live(supervisor.address_of(settings)):
        if not service.is_running or time.monotonic() > deadline:
            log = (settings.home / "serve.log").read_text(encoding="utf-8", errors="replace")
            message = f"the service of the month did not start: {log.strip()[-300:]}"
            raise CineclubError(message)
        time.sleep(LOOK_SECONDS)


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the service: none of the settings of who runs the month."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**others, **settings.variables}


def _children_of(service: supervisor.Child) -> list[int]:
    """Return the processes that the supervisor has started."""
    pid = service.process.pid if service.process else 0
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _silent(_fraction: float, _message: str) -> None:
    """Tell nobody."""
