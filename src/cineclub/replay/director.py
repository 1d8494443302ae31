"""Leads a month: the first training, then day after day of traffic, nights between them, and what is injected."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cineclub.api.drift_schemas import PastDriftOut
from cineclub.api.outcome_schemas import RecommendationOutcomesOut
from cineclub.api.schemas import PromotionOut, VersionOut
from cineclub.children import StopRequest
from cineclub.client import Client
from cineclub.domain.errors import CineclubError
from cineclub.domain.imported_ratings import ImportedRatings
from cineclub.domain.replay.calendar import Calendar
from cineclub.domain.replay.events import Event, genre_to_turn, halved, turned_around
from cineclub.replay.nights import Night, Nights
from cineclub.replay.plan import BROKEN_MODELS, MonthPlan
from cineclub.replay.stage import Stage
from cineclub.replay.visitors import Encounter, Visit, Visitors
from cineclub.replay.watcher import Watcher

TICK_SECONDS = 0.1
MIDNIGHT = 1.0
PAGE = 100
Tell = Callable[[str], None]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Injected:
    """An event that took place: when (``time.time``), and on what."""

    event: Event
    began_at: float
    ended_at: float
    detail: str = ""


@dataclass
class Played:
    """Everything that is known of a month once it is over; times are those of ``time.time``.

    What the service recorded (versions, promotions, checks of drift) comes newest first.
    """

    begins_at: float
    day_began_at: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    encounters: list[Encounter] = field(default_factory=list)
    nights: list[Night] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    versions: list[VersionOut] = field(default_factory=list)
    promotions: list[PromotionOut] = field(default_factory=list)
    outcomes: RecommendationOutcomesOut | None = None
    drift_checks: list[PastDriftOut] = field(default_factory=list)
    rejected_seen_at: list[float] = field(default_factory=list)


class MonthStopped(CineclubError):
    """The month was stopped by a person: nothing of it is left; start it again when ready."""


class Director:
    """Leads one month on a stage."""

    def __init__(
        self, plan: MonthPlan, whole: ImportedRatings, calendar: Calendar, stage: Stage, begins_at: float, tell: Tell
    ) -> None:
        """Take what is played, where, and from when on."""
        self._plan = plan
        self._whole = whole
        self._calendar = calendar
        self._stage = stage
        self._tell = tell
        self._stopping = threading.Event()
        self._client = Client(stage.address, timeout=60.0)
        self._nights = Nights(stage.address, stage.kill_worker, self._stopping)
        self._visitors = Visitors(stage.address, self._stopping)
        self._watcher = Watcher(stage.address)
        self._experiment = 0
        self._waiting = list(plan.events)
        self._genre = _genre(whole) if any(one.kind == "taste_reversal" for one in plan.events) else ""
        self.played = Played(begins_at)

    def lead(self, stop: StopRequest) -> Played:
        """Return what happened in the whole month.

        Raises:
            MonthStopped: a person stopped it.
            CineclubError: the service could not be used.
        """
        try:
            self._watcher.start()
            self._first_training(stop)
            with ThreadPoolExecutor(1, "day") as pool:
                for day in range(1, self._plan.n_days + 1):
                    self._day(day, pool, stop)
            self._until(stop, lambda: self._nights.is_over)
            return self._sum_up()
        finally:
            self._stopping.set()
            self._watcher.stop()
            self._nights.wait()
            self._visitors.close()
            self._client.close()

    def _first_training(self, stop: StopRequest) -> None:
        """Train the first model, and what somebody may promote by mistake; wait for the month to begin."""
        self._tell("first training")
        first = self._trained_before(self._plan.models_of(0), stop)
        self._tell(f"first model: version {first.version}, {first.verdict}")
        if any(one.kind == "crippled_version" for one in self._waiting):
            experiment = self._trained_before(BROKEN_MODELS, stop)
            self._experiment = experiment.version or self._experiment
            self._tell(f"an experiment: version {experiment.version}, {experiment.verdict}")
        self._until(stop, lambda: time.time() >= self.played.begins_at)

    def _trained_before(self, models: tuple[str, ...], stop: StopRequest) -> Night:
        """Return a training of before the month, once it is over."""
        self._nights.begin(0, models)
        self._until(stop, lambda: self._nights.is_over)
        night = self._nights.past[-1]
        if night.status != "succeeded" or night.version is None:
            message = f"a training before the month {night.status}: {night.reason}"
            raise CineclubError(message)
        return night

    def _day(self, day: int, pool: ThreadPoolExecutor, stop: StopRequest) -> None:
        """Play a day and begin the night at its end."""
        begins_at = time.time()
        self.played.day_began_at.append(begins_at)
        playing = pool.submit(self._visitors.play, self._visits(day, begins_at))
        ends_at = begins_at + self._plan.day_seconds
        self._until(stop, lambda: self._moment(day, begins_at, playing) and time.time() >= ends_at)
        self.played.encounters += playing.result()
        self._tell(self._line_of(day))
        self._night(day)

    def _moment(self, day: int, begins_at: float, playing: "Future[list[Encounter]]") -> bool:
        """Inject what is due, and say whether the day's visits are over."""
        part = (time.time() - begins_at) / self._plan.day_seconds
        for event in [one for one in self._waiting if one.at < MIDNIGHT and (one.day, one.at) <= (day, part)]:
            self._inject(event)
            self._waiting.remove(event)
        return playing.done()

    def _inject(self, event: Event) -> None:
        """Do what an event is."""
        began_at, detail = time.time(), ""
        day_ends_at = self.played.day_began_at[-1] + self._plan.day_seconds
        match event.kind:
            case "database_restart":
                self._stage.stop_database()
            case "crippled_version":
                self._client.promote(self._experiment, "a person takes the experiment for the newest version")
                detail = f"version {self._experiment}"
            case "taste_reversal":
                detail = self._genre
            case _:
                pass
        is_of_a_day = event.kind in {"taste_reversal", "bad_ratings"}
        self.played.injected.append(Injected(event, began_at, day_ends_at if is_of_a_day else time.time(), detail))

    def _night(self, day: int) -> None:
        """Begin the training of a night, broken or to be interrupted where that is injected; one at a time."""
        due = [one for one in self._waiting if one.at == MIDNIGHT and one.day <= day][:1]
        if not self._nights.is_over or self._is_crippled():
            return  # what was due is so in the next night
        kinds = {one.kind for one in due}
        models = BROKEN_MODELS if "broken_recipe" in kinds else self._plan.models_of(day)
        self._nights.begin(day, models, is_worker_killed="killed_worker" in kinds)
        for event in due:
            self._waiting.remove(event)
            self.played.injected.append(Injected(event, time.time(), time.time()))

    def _is_crippled(self) -> bool:
        """Whether a broken version serves: whoever promoted it has stopped the nights, so that probation alone acts."""
        return self._client.production().name in BROKEN_MODELS

    def _visits(self, day: int, begins_at: float) -> list[Visit]:
        """Return who comes on a day, evenly over it, with the ratings as they are spoilt on that day."""
        rows, positions = self._whole.rows, self._calendar.days[day - 1]
        ratings = self._spoilt(day, positions)
        due = begins_at + (np.arange(len(positions)) + 0.5) / max(1, len(positions)) * self._plan.day_seconds
        columns = (
            rows.user_codes[positions].tolist(), rows.movie_codes[positions].tolist(), ratings.tolist(), due.tolist()
        )  # fmt: skip
        return [
            Visit(day, user, movie, rows.user_ids[user], rows.movie_ids[movie], rating, due_at)
            for user, movie, rating, due_at in zip(*columns, strict=True)
        ]

    def _spoilt(self, day: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the ratings of a day as they arrive."""
        rows, scale = self._whole.rows, self._whole.scale
        ratings = rows.ratings[positions]
        kinds = {one.kind for one in self._plan.events if one.day == day}
        if "taste_reversal" in kinds:
            of_genre = {one.external_id for one in self._whole.movies if self._genre in one.genres}
            mask = np.array([rows.movie_ids[code] in of_genre for code in rows.movie_codes[positions]], np.bool_)
            ratings = turned_around(ratings, mask, scale)
        return halved(ratings, scale) if "bad_ratings" in kinds else ratings

    def _until(self, stop: StopRequest, is_over: Callable[[], bool]) -> None:
        """Return once something is over.

        Raises:
            MonthStopped: a person wants to stop before.
        """
        while not is_over():
            if stop.is_made:
                message = "the month was stopped: nothing of it is left; start it again when ready"
                raise MonthStopped(message)
            time.sleep(TICK_SECONDS)

    def _line_of(self, day: int) -> str:
        """Return how things stand at the end of a day, in 80 columns."""
        encounters = self.played.encounters
        n_hits, n_failed = sum(one.rank > 0 for one in encounters), sum(one.n_failed for one in encounters)
        last = self._nights.past[-1]
        verdict = f"version {last.version} {last.verdict}" if last.verdict else "in training"
        share = n_hits / max(1, len(encounters))
        return (
            f"day {day:>2} of {self._plan.n_days}: hit rate {share:.3f} over {len(encounters):>6,} answers, "
            f"{n_failed} failed, {verdict}"
        )

    def _sum_up(self) -> Played:
        """Return what happened, with what the service says of it."""
        self.played.ended_at = time.time()
        self.played.nights = self._nights.past
        self.played.rejected_seen_at = self._watcher.rejected_seen_at
        client = self._client
        self.played.versions = _every(
            lambda before: client.models(limit=PAGE, before=before).versions, lambda one: one.version
        )
        self.played.promotions = _every(
            lambda before: client.models(limit=PAGE, promotions_before=before).promotions, lambda one: one.promotion_id
        )
        self.played.outcomes = self._client.outcomes(days=1)
        self.played.drift_checks = _every(
            lambda before: client.drift_history(PAGE, before).checks, lambda one: one.check_id
        )
        return self.played


def _every(page: Callable[[int | None], Sequence[Row]], number: Callable[[Row], int]) -> list[Row]:
    """Return all rows of a list that comes in pages, each before the last row of the one before."""
    found: list[Row] = []
    while rows := page(number(found[-1]) if found else None):
        found += rows
    return found


def _genre(whole: ImportedRatings) -> str:
    """Return the genre whose taste turns around."""
    genres = {one.external_id: one.genres for one in whole.movies}
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    rows = whole.rows
    totals = np.bincount(rows.movie_codes, weights=rows.ratings, minlength=len(rows.movie_ids))
    n_ratings = np.bincount(rows.movie_codes, minlength=len(rows.movie_ids))
    for movie_id, total, n in zip(rows.movie_ids, totals.tolist(), n_ratings.tolist(), strict=True):
        for genre in genres.get(movie_id, ()):
            sums[genre] = sums.get(genre, 0.0) + total
            counts[genre] = counts.get(genre, 0) + n
    return genre_to_turn(
        {name: n / len(rows) for name, n in counts.items()}, {name: sums[name] / n for name, n in counts.items()}
    )
