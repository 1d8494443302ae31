"""The course of a month: the first training, then days of traffic, the nights between them, and the injected events."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.month.alarm_monitor import AlarmMonitor
from benchmarks.month.calendar import Calendar
from benchmarks.month.events import Event, genre_to_reverse, halved, with_reversed_taste
from benchmarks.month.nights import Night, Nights
from benchmarks.month.plan import BROKEN_MODELS, MonthPlan
from benchmarks.month.service import MonthService
from benchmarks.month.visitors import Visit, Visitors, VisitResult
from cineclub.api.model_schemas import PromotionOut, VersionOut
from cineclub.api.outcome_schemas import RecommendationOutcomesOut
from cineclub.client import Client
from cineclub.domain.errors import CineclubError
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.runtime.child_processes import StopRequest

TICK_SECONDS = 0.1
MIDNIGHT = 1.0
PAGE_ROWS = 100
ReportProgress = Callable[[str], None]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class InjectedEvent:
    """An event that took place; times are those of ``time.time``.

    Attributes:
        event: what was injected.
        began_at: start of the event.
        ended_at: its end; that of the day for events that change the ratings of a day.
        genre: the genre whose taste was reversed.
        version: the broken version that was promoted.
    """

    event: Event
    began_at: float
    ended_at: float
    genre: str | None = None
    version: int | None = None

    @property
    def detail(self) -> str:
        """The genre or version concerned, in words; empty for other events."""
        return f"version {self.version}" if self.version is not None else self.genre or ""


@dataclass
class Recording:
    """The observations of a month; times are those of ``time.time``.

    The rows that the service recorded (versions, promotions) come newest first.
    """

    begins_at: float
    day_began_at: list[float] = field(default_factory=list)
    visits: list[VisitResult] = field(default_factory=list)
    nights: list[Night] = field(default_factory=list)
    injected: list[InjectedEvent] = field(default_factory=list)
    versions: list[VersionOut] = field(default_factory=list)
    promotions: list[PromotionOut] = field(default_factory=list)
    outcomes: RecommendationOutcomesOut | None = None
    rejected_seen_at: list[float] = field(default_factory=list)


class MonthStopped(CineclubError):
    """The month was stopped by a person: nothing of it is left; start it again when ready."""


class Simulation:
    """Plays one month against a running service."""

    def __init__(
        self,
        plan: MonthPlan,
        whole: ImportedRatings,
        calendar: Calendar,
        service: MonthService,
        begins_at: float,
        report_progress: ReportProgress,
    ) -> None:
        """Take the ratings to play, the service, and the start of the first day."""
        self._plan = plan
        self._whole = whole
        self._calendar = calendar
        self._service = service
        self._report_progress = report_progress
        self._stopping = threading.Event()
        self._client = Client(service.address, timeout=60.0)
        self._nights = Nights(service.address, service.kill_worker, self._stopping)
        self._visitors = Visitors(service.address, self._stopping)
        self._monitor = AlarmMonitor(service.address)
        self._broken_version = 0
        self._pending = list(plan.events)
        self._genre = _genre_of(whole) if any(event.kind == "taste_reversal" for event in plan.events) else ""
        self._recording = Recording(begins_at)

    def run(self, stop: StopRequest) -> Recording:
        """Return the recording of the whole month.

        Raises:
            MonthStopped: a person stopped it.
            CineclubError: the service could not be used.
        """
        try:
            self._monitor.start()
            self._train_before_month(stop)
            with ThreadPoolExecutor(1, "day") as pool:
                for day in range(1, self._plan.n_days + 1):
                    self._play_day(day, pool, stop)
            self._wait_until(stop, lambda: self._nights.is_over)
            return self._complete_recording()
        finally:
            self._stopping.set()
            self._monitor.stop()
            self._nights.wait()
            self._visitors.close()
            self._client.close()

    def _train_before_month(self, stop: StopRequest) -> None:
        """Train the first model, and the broken one if a person is to promote it; wait for the month to begin."""
        self._report_progress("first training")
        first = self._completed_training(self._plan.models_of(0), stop)
        self._report_progress(f"first model: version {first.version}, {first.verdict}")
        if any(event.kind == "crippled_version" for event in self._pending):
            experiment = self._completed_training(BROKEN_MODELS, stop)
            self._broken_version = experiment.version or self._broken_version
            self._report_progress(f"an experiment: version {experiment.version}, {experiment.verdict}")
        self._wait_until(stop, lambda: time.time() >= self._recording.begins_at)

    def _completed_training(self, models: tuple[str, ...], stop: StopRequest) -> Night:
        """Return a training before the month, once it is over.

        Raises:
            CineclubError: it did not succeed.
        """
        self._nights.start(0, models)
        self._wait_until(stop, lambda: self._nights.is_over)
        night = self._nights.past[-1]
        if night.status != "succeeded" or night.version is None:
            message = f"a training before the month {night.status}: {night.reason}"
            raise CineclubError(message)
        return night

    def _play_day(self, day: int, pool: ThreadPoolExecutor, stop: StopRequest) -> None:
        """Play a day and start the training of the night at its end."""
        begins_at = time.time()
        self._recording.day_began_at.append(begins_at)
        visits = pool.submit(self._visitors.play, self._visits(day, begins_at))
        ends_at = begins_at + self._plan.day_seconds
        self._wait_until(stop, lambda: self._inject_due(day, begins_at, visits) and time.time() >= ends_at)
        self._recording.visits += visits.result()
        self._report_progress(self._day_summary(day))
        self._start_night(day)

    def _inject_due(self, day: int, begins_at: float, visits: "Future[list[VisitResult]]") -> bool:
        """Inject the events that are due, and return whether the day's visits are over."""
        part = (time.time() - begins_at) / self._plan.day_seconds
        due = [event for event in self._pending if event.at < MIDNIGHT and (event.day, event.at) <= (day, part)]
        for event in due:
            if event.kind == "crippled_version" and not self._nights.is_over:
                continue  # a person who promotes while a training runs would stop that one, which is another story
            self._inject(event)
            self._pending.remove(event)
        return visits.done()

    def _inject(self, event: Event) -> None:
        """Inject an event; ratings are changed in ``_ratings_of``."""
        began_at, genre, version = time.time(), None, None
        ends_at = None
        match event.kind:
            case "database_restart":
                self._service.stop_database()
            case "crippled_version":
                version = self._broken_version
                self._client.promote(version, "a person takes the experiment for the newest version")
            case "taste_reversal":
                genre, ends_at = self._genre, self._recording.day_began_at[-1] + self._plan.day_seconds
            case _:
                ends_at = self._recording.day_began_at[-1] + self._plan.day_seconds
        ended_at = time.time() if ends_at is None else ends_at
        self._recording.injected.append(InjectedEvent(event, began_at, ended_at, genre, version))

    def _start_night(self, day: int) -> None:
        """Start the training of a night, broken or to be interrupted where that is injected; one event per night.

        While a training runs or a broken version serves, none is started, and the event waits for the next night. Nor
        is one started that would outlast the night of an event: real days are long enough for every training.
        """
        due = [event for event in self._pending if event.at == MIDNIGHT and event.day <= day][:1]
        if not self._nights.is_over or self._broken_version_serves() or (not due and self._would_outlast_event(day)):
            return
        kinds = {event.kind for event in due}
        models = BROKEN_MODELS if "broken_recipe" in kinds else self._plan.models_of(day)
        self._nights.start(day, models, is_worker_killed="killed_worker" in kinds)
        for event in due:
            self._pending.remove(event)
            self._recording.injected.append(InjectedEvent(event, time.time(), time.time()))

    def _would_outlast_event(self, day: int) -> bool:
        """Return whether a training as long as the last ones would outlast the midnight of a pending event."""
        n_days = self._nights.usual_seconds() / self._plan.day_seconds
        return any(event.at == MIDNIGHT and day < event.day <= day + n_days for event in self._pending)

    def _broken_version_serves(self) -> bool:
        """Return whether a broken version serves: trainings are paused then, so that probation alone acts."""
        return self._client.production().name in BROKEN_MODELS

    def _visits(self, day: int, begins_at: float) -> list[Visit]:
        """Return the visits of a day, evenly spread over it, with the ratings as the events change them."""
        rows, positions = self._whole.rows, self._calendar.days[day - 1]
        ratings = self._ratings_of(day, positions)
        due_at = begins_at + (np.arange(len(positions)) + 0.5) / max(1, len(positions)) * self._plan.day_seconds
        users, movies = rows.user_codes[positions].tolist(), rows.movie_codes[positions].tolist()
        return [
            Visit(day, user, movie, rows.user_ids[user], rows.movie_ids[movie], rating, due)
            for user, movie, rating, due in zip(users, movies, ratings.tolist(), due_at.tolist(), strict=True)
        ]

    def _ratings_of(self, day: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the ratings of a day as they are sent, shape (n,)."""
        rows, scale = self._whole.rows, self._whole.scale
        ratings = rows.ratings[positions]
        kinds = {event.kind for event in self._plan.events if event.day == day}
        if "taste_reversal" in kinds:
            of_genre = {movie.external_id for movie in self._whole.movies if self._genre in movie.genres}
            mask = np.array([rows.movie_ids[code] in of_genre for code in rows.movie_codes[positions]], np.bool_)
            ratings = with_reversed_taste(ratings, mask, scale)
        return halved(ratings, scale) if "bad_ratings" in kinds else ratings

    def _wait_until(self, stop: StopRequest, is_over: Callable[[], bool]) -> None:
        """Return once a condition holds.

        Raises:
            MonthStopped: a person stopped the month before.
        """
        while not is_over():
            if stop.is_made:
                message = "the month was stopped: nothing of it is left; start it again when ready"
                raise MonthStopped(message)
            time.sleep(TICK_SECONDS)

    def _day_summary(self, day: int) -> str:
        """Return the state at the end of a day in at most 80 columns."""
        visits = self._recording.visits
        n_hits, n_failed = sum(visit.rank > 0 for visit in visits), sum(visit.n_failed for visit in visits)
        last = self._nights.past[-1]
        verdict = f"version {last.version} {last.verdict}" if last.verdict else "in training"
        hit_rate = n_hits / max(1, len(visits))
        return (
            f"day {day:>2} of {self._plan.n_days}: hit rate {hit_rate:.3f} over {len(visits):>6,} answers, "
            f"{n_failed} failed, {verdict}"
        )

    def _complete_recording(self) -> Recording:
        """Return the recording with the rows that the service recorded."""
        recording, client = self._recording, self._client
        recording.nights = self._nights.past
        recording.rejected_seen_at = self._monitor.rejected_seen_at
        recording.versions = _all_rows(
            lambda before: client.models(limit=PAGE_ROWS, before=before).versions, lambda row: row.version
        )
        recording.promotions = _all_rows(
            lambda before: client.models(limit=PAGE_ROWS, promotions_before=before).promotions,
            lambda row: row.promotion_id,
        )
        recording.outcomes = client.outcomes(days=1)
        return recording


def _all_rows(page: Callable[[int | None], Sequence[Row]], id_of: Callable[[Row], int]) -> list[Row]:
    """Return all rows of a paged list; each page ends before the last row of the previous one."""
    rows: list[Row] = []
    while next_rows := page(id_of(rows[-1]) if rows else None):
        rows += next_rows
    return rows


def _genre_of(whole: ImportedRatings) -> str:
    """Return the genre whose taste is reversed."""
    genres = {movie.external_id: movie.genres for movie in whole.movies}
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    rows = whole.rows
    totals = np.bincount(rows.movie_codes, weights=rows.ratings, minlength=len(rows.movie_ids))
    n_ratings = np.bincount(rows.movie_codes, minlength=len(rows.movie_ids))
    for movie_id, total, n in zip(rows.movie_ids, totals.tolist(), n_ratings.tolist(), strict=True):
        for genre in genres.get(movie_id, ()):
            sums[genre] = sums.get(genre, 0.0) + total
            counts[genre] = counts.get(genre, 0) + n
    return genre_to_reverse(
        {name: n / len(rows) for name, n in counts.items()}, {name: sums[name] / n for name, n in counts.items()}
    )
