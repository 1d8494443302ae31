"""The drift flow: its steps stand in the order of the drawing and bear the names of its boxes."""

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Literal

from cineclub.domain.drift import (
    AnswerStatistics,
    compare_answers,
    compare_ratings,
    overall,
    summary_of,
    with_answers,
)
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.statistics import (
    MAX_WINDOWS,
    SAMPLE_SIZE,
    WINDOW_DAYS,
    Baseline,
    PeriodStatistics,
    sample_size_of,
)
from cineclub.ports import (
    AskedBy,
    BaselineComparison,
    CheckedWindow,
    DriftBaselines,
    DriftCheck,
    DriftChecks,
    DriftStatistics,
    KeptBaseline,
    Measure,
    PastCheck,
    Period,
    ProductionBaseline,
)

Which = Literal["model", "pinned"]

NEWEST = "newest"
LONGEST_DAYS = 366
LEAST_PCT, MOST_PCT = 0.1, 1000.0
A_WINDOW = f"window must be a number with d or h, such as 7d or 24h, of at most {LONGEST_DAYS} days"
A_THRESHOLD = f"threshold_pct must be a number from {LEAST_PCT:g} to {MOST_PCT:g}"
AN_END = (
    f"until must be a time in ISO 8601 with its offset, such as 2026-05-01T20:15:00Z, not later than now, or {NEWEST}"
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
FRESH_SECONDS = 60.0
MAX_FRESH = 16


@dataclass(frozen=True, slots=True)
class DriftQuestion:
    """What is checked: how long a window, which change of a figure counts, and until when (None: until now)."""

    window_days: float
    threshold_pct: float
    until: datetime | Literal["newest"] | None = None

    @classmethod
    def of(cls, window: str, threshold_pct: float, until: str | None = None) -> "DriftQuestion":
        """Return the question that a person has written.

        Raises:
            InvalidInput: one of the three is not what it may be.
        """
        if not LEAST_PCT <= threshold_pct <= MOST_PCT:  # NaN too
            raise InvalidInput(A_THRESHOLD)
        return cls(_days_of(window), threshold_pct, _end_of(until))

    def asked_as(self, window: str | None, threshold_pct: float | None, until: str | None) -> "DriftQuestion":
        """Return this question with what a person has written in place of what it says; None leaves that as it is.

        Raises:
            InvalidInput: one of the three is not what it may be.
        """
        pct = self.threshold_pct if threshold_pct is None else threshold_pct
        asked = DriftQuestion.of("1d" if window is None else window, pct, until)
        return replace(asked, window_days=self.window_days) if window is None else asked


@dataclass(frozen=True, slots=True)
class LoadedBaselines:
    """What a window is compared with: the serving version, and the baselines by what they are, of the asked length."""

    model_version: int | None
    kept: Mapping[Which, KeptBaseline]


@dataclass(frozen=True, slots=True)
class CurrentStatistics:
    """A window as one baseline measures it; answers come window by window, the window itself last."""

    ratings: PeriodStatistics
    answers: Sequence[AnswerStatistics]


class DriftFlow:
    """Compares a window with what was normal, one check at a time; every check is kept."""

    def __init__(
        self,
        statistics: DriftStatistics,
        baselines: DriftBaselines,
        checks: DriftChecks,
        usual: DriftQuestion,
        now: Callable[[], datetime],
    ) -> None:
        """Take where statistics are computed and kept, and what the settings ask."""
        self._statistics = statistics
        self._baselines = baselines
        self._checks = checks
        self._now = now
        self._fresh: dict[DriftQuestion, tuple[float, DriftCheck]] = {}
        self._checking = asyncio.Lock()
        self._asking = asyncio.Lock()
        self.usual = usual

    async def recent_check(self, question: DriftQuestion) -> DriftCheck:
        """Return a check that was made at most a minute ago, for those who look again and again.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        async with self._asking:
            made_at, check = self._fresh.get(question, (-math.inf, None))
            if check is None or monotonic() - made_at > FRESH_SECONDS:
                check = await self.check(question, "api")
                self._fresh.pop(question, None)
                self._fresh[question] = (monotonic(), check)
                if len(self._fresh) > MAX_FRESH:
                    del self._fresh[next(iter(self._fresh))]
            return check

    async def check(self, question: DriftQuestion, asked_by: AskedBy) -> DriftCheck:
        """Run every step once, in the order of the drawing, and return what was kept.

        Raises:
            InvalidInput: the window ends in the future.
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        async with self._checking:
            checked_at = self._now()
            period = await self._period(question, checked_at)
            loaded = await self.load_baseline(question.window_days)
            current = await self.compute_current(period, loaded)
            comparisons = await self.compare(period, loaded, current, question.threshold_pct)
            window = await self._window(period, question.window_days, current)
            check = self.alert_or_ok(checked_at, question, window, loaded, comparisons)
            check_id = await self._checks.record(check, asked_by, is_usual=question == self.usual)
            return replace(check, check_id=check_id)

    async def load_baseline(self, window_days: float) -> LoadedBaselines:
        """Return the baseline of the model in production and the pinned one, with windows of the asked length."""
        production, pinned = await self.baselines()
        found: dict[Which, KeptBaseline] = {}
        for which, kept in (("model", production.kept), ("pinned", pinned)):
            if kept is not None:
                found[which] = await self._of_length(kept, window_days)  # type: ignore[index]
        return LoadedBaselines(production.model_version, found)

    async def compute_current(self, period: Period, loaded: LoadedBaselines) -> dict[int, CurrentStatistics]:
        """Return the window by the id of each baseline, as that measures it."""
        found: dict[int, CurrentStatistics] = {}
        length = period.ends_at - period.starts_at
        earlier = Period(period.starts_at - MAX_WINDOWS * length, period.starts_at).windows_before(length, MAX_WINDOWS)
        for kept in loaded.kept.values():
            if kept.baseline_id not in found:
                measure = Measure.of(kept.baseline)
                ratings, answers = await asyncio.gather(
                    self._statistics.of_ratings(period, measure),
                    self._statistics.of_answers([*earlier, period], measure.head_movie_ids, loaded.model_version),
                )
                found[kept.baseline_id] = CurrentStatistics(ratings, answers)
        return found

    async def compare(
        self, period: Period, loaded: LoadedBaselines, current: Mapping[int, CurrentStatistics], threshold_pct: float
    ) -> tuple[BaselineComparison, ...]:
        """Return the window beside each baseline; decided in a thread, so that answers go on."""

        def compared() -> tuple[BaselineComparison, ...]:
            return tuple(
                _compared(which, kept, period, current[kept.baseline_id], threshold_pct)
                for which, kept in loaded.kept.items()
            )

        return await asyncio.to_thread(compared)

    def alert_or_ok(
        self,
        checked_at: datetime,
        question: DriftQuestion,
        window: CheckedWindow,
        loaded: LoadedBaselines,
        comparisons: tuple[BaselineComparison, ...],
    ) -> DriftCheck:
        """Return the verdict over all baselines with what it rests on; without any there is not enough data."""
        judged = [one.as_judged for one in comparisons]
        return DriftCheck(
            check_id=0,
            checked_at=checked_at,
            verdict=overall(judged),
            summary=summary_of(judged) if judged else _why_nothing(loaded.model_version),
            window=window,
            threshold_pct=question.threshold_pct,
            comparisons=comparisons,
        )

    async def baselines(self) -> tuple[ProductionBaseline, KeptBaseline | None]:
        """Return the baseline of the model in production and the pinned one, as they were taken.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        return await self._baselines.of_production(), await self._baselines.pinned()

    async def pin(self, model_version: int | None) -> None:
        """Pin the baseline of a version, or without one take one now: windows up to the newest rating.

        Raises:
            NotFound: the version has no baseline.
            NotEnoughData: there are no ratings yet.
            StorageUnavailable: PostgreSQL does not answer, or not in time.
        """
        async with self._checking:
            await self._baselines.pin(model_version if model_version is not None else await self._taken_now())
            self._fresh.clear()

    async def unpin(self) -> None:
        """Let no baseline be pinned.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        async with self._checking:
            await self._baselines.pin(None)
            self._fresh.clear()

    async def history(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        return await self._checks.recent(limit, before)

    async def _period(self, question: DriftQuestion, checked_at: datetime) -> Period:
        """Return the window that is asked about.

        Raises:
            InvalidInput: it ends in the future.
        """
        until = checked_at if question.until is None else question.until
        if until == NEWEST:
            extent = await self._statistics.extent(checked_at)
            until = extent.ends_at if extent else checked_at
        ends_at = until if isinstance(until, datetime) else checked_at
        if ends_at > checked_at and question.until != NEWEST:
            raise InvalidInput(AN_END)
        return Period(ends_at - timedelta(days=question.window_days), ends_at)

    async def _window(
        self, period: Period, window_days: float, current: Mapping[int, CurrentStatistics]
    ) -> CheckedWindow:
        """Return the window with its sizes."""
        if current:
            one = next(iter(current.values()))
            n_ratings, n_answers = one.ratings.n_ratings, one.answers[-1].n_answers
        else:
            [n_ratings] = await self._statistics.sizes([period])
            n_answers = (await self._statistics.of_answers([period], (), None))[0].n_answers
        return CheckedWindow(period.starts_at, period.ends_at, window_days, n_ratings, n_answers)

    async def _of_length(self, kept: KeptBaseline, window_days: float) -> KeptBaseline:
        """Return a baseline with windows of the asked length: as taken, kept, or computed anew up to its own end."""
        if kept.baseline.window_days == window_days:
            return kept
        found = await self._baselines.of_length(kept.baseline_id, window_days)
        if found is None:
            whole = kept.baseline.whole
            found = await self._with_windows(kept.baseline, Period(whole.starts_at, whole.ends_at), window_days)
            await self._baselines.keep_length(kept.baseline_id, found)
        return replace(kept, baseline=found)

    async def _taken_now(self) -> Baseline:
        """Return a baseline of the ratings as they are."""
        until = self._now()
        extent = await self._statistics.extent(until)
        if extent is None:
            message = "there are no ratings to take a baseline from: run `cineclub import PATH` first"
            raise NotEnoughData(message)
        measure = await self._statistics.measure(extent.ends_at, SAMPLE_SIZE)
        whole = await self._statistics.of_ratings(extent, measure, is_whole=True)
        bare = Baseline(measure.scale, WINDOW_DAYS, measure.sample_size, measure.head_movie_ids, whole, ())
        return await self._with_windows(bare, extent, self.usual.window_days)

    async def _with_windows(self, baseline: Baseline, extent: Period, window_days: float) -> Baseline:
        """Return a baseline with the newest windows of a length that lie in a period as a whole."""
        periods = extent.windows_before(timedelta(days=window_days), MAX_WINDOWS)
        sizes = await self._statistics.sizes(periods) if periods else []
        sample_size = sample_size_of(sizes)
        measure = Measure(baseline.scale, sample_size, baseline.head_movie_ids)
        windows = tuple([await self._statistics.of_ratings(period, measure) for period in periods])
        return replace(baseline, window_days=window_days, sample_size=sample_size, windows=windows)


def _compared(
    which: Which, kept: KeptBaseline, period: Period, current: CurrentStatistics, threshold_pct: float
) -> BaselineComparison:
    """Return a window beside those windows of a baseline that it does not overlap: nothing is compared with itself."""
    windows = [
        one for one in kept.baseline.windows if one.ends_at <= period.starts_at or one.starts_at >= period.ends_at
    ]
    of_ratings = compare_ratings(replace(kept.baseline, windows=tuple(windows)), current.ratings, threshold_pct)
    of_answers = compare_answers(current.answers[:-1], current.answers[-1], threshold_pct)
    found = with_answers(of_ratings, of_answers)
    return BaselineComparison(
        which, kept.model_version, kept.taken_at, found.n_windows, found.verdict, found.statistics, found.segments
    )


def _why_nothing(model_version: int | None) -> str:
    """Say why there is nothing to compare with, and what to do."""
    if model_version is None:
        return "not enough data: no model is in production: train, or pin a baseline (cineclub drift pin)"
    return (
        f"not enough data: version {model_version} was registered before baselines were kept: train again, or pin a "
        "baseline (cineclub drift pin)"
    )


def _days_of(window: str) -> float:
    """Return how many days a window such as 7d or 24h has.

    Raises:
        InvalidInput: it is something else.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", window)
    days = int(found[1]) / (1 if found[2] == "d" else 24) if found else math.inf
    if days > LONGEST_DAYS:
        raise InvalidInput(A_WINDOW)
    return days


def _end_of(until: str | None) -> datetime | Literal["newest"] | None:
    """Return until when a window reaches.

    Raises:
        InvalidInput: it is no time.
    """
    if until is None or until == NEWEST:
        return None if until is None else "newest"
    try:
        time = datetime.fromisoformat(until)
    except ValueError:
        raise InvalidInput(AN_END) from None
    if time.tzinfo is None or time < EARLIEST:
        raise InvalidInput(AN_END)
    return time
