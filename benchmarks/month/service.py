"""The temporary service of a month: the imported past, `cineclub serve` as a process, and the faults it can suffer."""

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

from benchmarks.month.calendar import Calendar
from benchmarks.month.plan import MonthPlan
from benchmarks.month.simulated_time import variables
from cineclub.bootstrap import data_files, storage
from cineclub.domain.errors import CineclubError
from cineclub.domain.ratings.import_counts import ImportProgress
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.rejected_rows import first_reasons
from cineclub.processes import supervisor
from cineclub.settings import Settings

SERVE = (sys.executable, "-c", "from cineclub.cli.main import main; main()", "serve")
OUR_VARIABLES = ("CINECLUB_", "MLFLOW_")
POLL_SECONDS = 0.2
SHOWN_REJECTS = 3
START_TIMEOUT_SECONDS = 180.0
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Past:
    """Implements the port ``RatingSource``: the ratings before the month, dated to end where the month begins."""

    whole: ImportedRatings
    calendar: Calendar
    begins_at: float
    day_seconds: float

    @property
    def scale(self) -> RatingScale:
        """The scale of the ratings."""
        return self.whole.scale

    def read(self, _scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return the ratings of the past and all movies, those without a past rating too."""
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
class MonthService:
    """The running service of a month, with the faults that can be injected into it."""

    settings: Settings
    process: supervisor.Child

    @property
    def address(self) -> str:
        """The base URL of its API."""
        return supervisor.address_of(self.settings)

    def kill_worker(self) -> None:
        """Kill the worker as the kernel does when memory runs out; the supervisor starts another.

        Raises:
            CineclubError: there is no worker, or no /proc to find it in.
        """
        for pid in _children_of(self.process):
            if "cineclub.processes.worker" in Path(f"/proc/{pid}/cmdline").read_text(
                encoding="utf-8", errors="replace"
            ):
                os.kill(pid, signal.SIGKILL)
                return
        message = "there is no worker to kill: this scenario needs Linux, with /proc"
        raise CineclubError(message)

    def stop_database(self) -> None:
        """Stop PostgreSQL under the service, with all its connections; the supervisor starts it again."""
        storage.stop_embedded_server(self.settings)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder that is always removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cineclub-month-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ratings_of(plan: MonthPlan) -> ImportedRatings:
    """Return every valid rating of the plan's path, or of the demo data.

    Raises:
        InvalidInput: the path holds no known format.
        CineclubError: the ratings have no known scale.
    """
    source = data_files.rating_source(plan.path, None, None) if plan.path else data_files.demo_source()
    if source.scale is None:
        message = f"{plan.path} does not define the scale of its ratings: import it, export it, and play the export"
        raise CineclubError(message)
    imported = source.read(source.scale, _no_progress)
    imported.refuse_wrong_scale()
    report_left_out(imported)
    return imported


def report_left_out(imported: ImportedRatings) -> None:
    """Print on stderr how many rows are left out, with the first reasons, if there are any."""
    if imported.rejected or imported.superseded:
        first = first_reasons(imported.rejected, SHOWN_REJECTS)
        counts = f"{len(imported.rejected):,} bad rows left out, {len(imported.superseded):,} superseded"
        print(f"{counts} {first}".strip(), file=sys.stderr)


@contextmanager
def running_service(settings: Settings, past: Past) -> Iterator[MonthService]:
    """Give the service with the past imported; it is stopped afterwards.

    Raises:
        CineclubError: it does not start.
    """
    with storage.database(settings) as connected:
        rejects = settings.home / "rejects.csv"
        data_files.import_ratings(connected, past, rejects, strict=False, progress=_no_progress)
    process = supervisor.Child("serve", _environment(settings, past.day_seconds), settings.home / "serve.log", SERVE)
    process.start()
    try:
        _wait_until_live(settings, process)
        yield MonthService(settings, process)
    finally:
        process.stop()


def _wait_until_live(settings: Settings, process: supervisor.Child) -> None:
    """Return once the service responds.

    Raises:
        CineclubError: it ended, or does not respond in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not supervisor.is_live(supervisor.address_of(settings)):
        if not process.is_running or time.monotonic() > deadline:
            log = (settings.home / "serve.log").read_text(encoding="utf-8", errors="replace")
            message = f"the service of the month did not start: {log.strip()[-300:]}"
            raise CineclubError(message)
        time.sleep(POLL_SECONDS)


def _environment(settings: Settings, day_seconds: float) -> dict[str, str]:
    """Return the environment of the service, without the cineclub settings of the caller, with short days."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    return {**others, **settings.variables, **variables(day_seconds)}


def _children_of(process: supervisor.Child) -> list[int]:
    """Return the process ids of the children of the supervisor."""
    pid = process.process.pid if process.process else 0
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _no_progress(_fraction: float, _message: str) -> None:
    """Report no progress."""
