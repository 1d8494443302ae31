"""What drift needs from outside: statistics of a period, the baselines, the checks, and who is told of an alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from cineclub.domain.drift import AnswerStatistics, DriftComparison, DriftVerdict, StatisticChange
from cineclub.domain.ratings import RatingScale
from cineclub.domain.segment_changes import SegmentChange
from cineclub.domain.statistics import Baseline, PeriodStatistics

AskedBy = Literal["api", "cli", "watch"]


@dataclass(frozen=True, slots=True)
class Period:
    """From when on until when, exclusive."""

    starts_at: datetime
    ends_at: datetime

    @classmethod
    def up_to(cls, oldest: datetime, newest: datetime) -> "Period":
        """Return the period that both ratings lie in."""
        return cls(oldest, newest + timedelta(microseconds=1))

    def windows_before(self, length: timedelta, n_windows: int) -> list["Period"]:
        """Return the newest windows of a length that lie in the period as a whole, the oldest of them first."""
        n_windows = min(n_windows, (self.ends_at - self.starts_at) // length)
        return [Period(self.ends_at - (nth + 1) * length, self.ends_at - nth * length) for nth in range(n_windows)][
            ::-1
        ]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a period is measured by, the same for all that are compared; see ``Baseline``."""

    scale: RatingScale
    sample_size: int
    head_movie_ids: tuple[int, ...]

    @classmethod
    def of(cls, baseline: Baseline) -> "Measure":
        """Return what the windows of a baseline were measured by."""
        return cls(baseline.scale, baseline.sample_size, baseline.head_movie_ids)


@dataclass(frozen=True, slots=True)
class KeptBaseline:
    """A baseline with its id, when it was taken, and of which version it is (None: taken from the ratings)."""

    baseline_id: int
    model_version: int | None
    taken_at: datetime
    baseline: Baseline


@dataclass(frozen=True, slots=True)
class ProductionBaseline:
    """The version that serves (None before the first promotion), and its baseline (None where it has none)."""

    model_version: int | None
    kept: KeptBaseline | None


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """What was checked: the period, how long it is, and how many ratings and answers it has."""

    starts_at: datetime
    ends_at: datetime
    days: float
    n_ratings: int
    n_answers: int


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """The window beside one baseline: that of the model in production, or the pinned one."""

    baseline: Literal["model", "pinned"]
    model_version: int | None
    taken_at: datetime
    n_windows: int
    verdict: DriftVerdict
    statistics: tuple[StatisticChange, ...]
    segments: tuple[SegmentChange, ...]

    @property
    def as_judged(self) -> DriftComparison:
        """The comparison without what it was compared with."""
        return DriftComparison(self.verdict, self.n_windows, self.statistics, self.segments)


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """One check; ``check_id`` is 0 before it is kept, ``training_id`` names the training that it started."""

    check_id: int
    checked_at: datetime
    verdict: DriftVerdict
    summary: str
    window: CheckedWindow
    threshold_pct: float
    comparisons: tuple[BaselineComparison, ...]
    training_id: str | None = None

    @property
    def distances(self) -> dict[str, float]:
        """The distance of each statistic that has one, from the first baseline that it was compared with."""
        found: dict[str, float] = {}
        for comparison in self.comparisons:
            for one in comparison.statistics:
                if one.distance is not None:
                    found.setdefault(one.name, one.distance)
        return found


@dataclass(frozen=True, slots=True)
class PastCheck:
    """What is kept of a check: who asked, whether it asked what the settings ask, what it said and did.

    Distances, changes in percent (by statistic) and the three parts that moved most are beside the first baseline.
    """

    check_id: int
    checked_at: datetime
    asked_by: AskedBy
    is_usual: bool
    verdict: DriftVerdict
    summary: str
    distances: Mapping[str, float]
    changes: Mapping[str, float]
    segments: Sequence[SegmentChange]
    training_id: str | None
    notified_at: datetime | None


class DriftStatistics(Protocol):
    """Statistics of periods, computed where the ratings and answers are; async."""

    async def of_ratings(self, period: Period, measure: Measure, *, is_whole: bool = False) -> PeriodStatistics:
        """Return the ratings of a period in numbers; of the whole log nobody is new.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        ...

    async def sizes(self, periods: Sequence[Period]) -> list[int]:
        """Return how many ratings each of some periods has.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        ...

    async def extent(self, until: datetime) -> Period | None:
        """Return from the oldest rating to just after the newest before a time; None where there is none.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        ...

    async def measure(self, until: datetime, sample_size: int) -> Measure:
        """Return what periods before a time are measured by.

        Raises:
            NotEnoughData: nothing was imported yet.
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        ...

    async def of_answers(
        self, periods: Sequence[Period], head_movie_ids: Sequence[int], model_version: int | None
    ) -> list[AnswerStatistics]:
        """Return the answers of some periods in numbers; scores are those of one version of the model.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        ...


class DriftBaselines(Protocol):
    """What is compared with; async."""

    async def of_production(self) -> ProductionBaseline:
        """Return the baseline of the promotion that serves.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def pinned(self) -> KeptBaseline | None:
        """Return the baseline that a person has pinned.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def pin(self, pinned: int | Baseline | None) -> None:
        """Pin the baseline of a version, or one that was taken just now, in place of the pinned one; None unpins.

        Raises:
            NotFound: there is no such version, or it has no baseline.
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def of_length(self, baseline_id: int, window_days: float) -> Baseline | None:
        """Return a baseline with windows of another length, where that was computed before.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def keep_length(self, baseline_id: int, baseline: Baseline) -> None:
        """Keep a baseline with windows of another length.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class DriftChecks(Protocol):
    """Every check that was made; async."""

    async def record(self, check: DriftCheck, asked_by: AskedBy, *, is_usual: bool) -> int:
        """Keep a check, and return its id.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def recent(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def last(self, asked_by: AskedBy | None = None) -> PastCheck | None:
        """Return the newest check that asked what the settings ask, whoever made it or by one of them.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class DriftActions(Protocol):
    """What follows from an alert, by one process alone and at most once per cool-down; async."""

    async def claim_notice(self, check_id: int, cooldown: timedelta) -> bool:
        """Say whether whoever wants to know is to be told of an alert: nobody was within the cool-down.

        How it ended is told by ``settle_notice``; a claim of which that is not known after two minutes holds no more.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def settle_notice(self, check_id: int, *, is_sent: bool) -> None:
        """Note that whoever wants to know was told, or that nobody could be, so that the next alert is tried again.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def note_followed(self, check_id: int) -> None:
        """Note that all that is to follow from a check was done; nothing while another is telling of it.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def unfollowed(self, cooldown: timedelta) -> PastCheck | None:
        """Return the newest alert of the service's own checks within the cool-down of which something is left to do.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def start_training(self, check_id: int, reason: str, cooldown: timedelta) -> str | None:
        """Queue a training because of drift, and return its id; None while one is under way or in the cool-down.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class AlertReceiver(Protocol):
    """Whoever wants to be told of alerts outside of cineclub; async."""

    async def tell(self, message: Mapping[str, Any]) -> bool:
        """Send a message, tried a few times, and say whether it arrived; never raises."""
        ...
