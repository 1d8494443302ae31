"""The drift flow: one method for each box of the drawing, in its order and under its name."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from cineclub.domain.drift.chances import chance_of_check, chance_of_each
from cineclub.domain.drift.comparison import (
    compare_ratings,
    compare_responses,
    overall,
    summary_of,
    with_changes,
    with_newest,
)
from cineclub.domain.drift.periods import NEWEST_PART, Measure, Period
from cineclub.domain.drift.records import (
    BaselineComparison,
    BaselineKind,
    Baselines,
    CheckedWindow,
    CheckOrigin,
    DriftCheck,
    PastCheck,
    StoredBaseline,
)
from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistics import MAX_WINDOWS, Baseline, PeriodStatistics, sample_size_of
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.ports import DriftStore
from cineclub.runtime.fresh_cache import FreshCache

NEWEST = "newest"
LONGEST_DAYS = 366
LEAST_PCT, MOST_PCT = 0.1, 1000.0
WINDOW_RULE = f"window must be a number with d or h, such as 7d or 24h, of at most {LONGEST_DAYS} days"
THRESHOLD_RULE = f"threshold_pct must be a number from {LEAST_PCT:g} to {MOST_PCT:g}"
UNTIL_RULE = (
    f"until must be a time in ISO 8601 with its offset, such as 2026-05-01T20:15:00Z, not later than now, or {NEWEST}"
)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DriftRequest:
    """Parameters of a check: length of the window, least change of a figure, and end (None: now)."""

    window_days: float
    threshold_pct: float
    until: datetime | Literal["newest"] | None = None

    @classmethod
    def of(cls, window: str, threshold_pct: float, until: str | None = None) -> "DriftRequest":
        """Return the request of parameters as a person writes them.

        Raises:
            InvalidInput: a parameter is not allowed.
        """
        if not LEAST_PCT <= threshold_pct <= MOST_PCT:  # NaN too
            raise InvalidInput(THRESHOLD_RULE)
        return cls(_days_of(window), threshold_pct, _end_of(until))

    def replaced(self, window: str | None, threshold_pct: float | None, until: str | None) -> "DriftRequest":
        """Return this request with parameters as a person writes them; None keeps window and threshold.

        Raises:
            InvalidInput: a parameter is not allowed.
        """
        pct = self.threshold_pct if threshold_pct is None else threshold_pct
        request = DriftRequest.of("1d" if window is None else window, pct, until)
        return replace(request, window_days=self.window_days) if window is None else request


@dataclass(frozen=True, slots=True)
class CurrentStatistics:
    """Statistics of a window with the measure of one baseline.

    Attributes:
        ratings: those of the window.
        newest: those of its newest part.
        responses: those of earlier windows, then of the window.
    """

    ratings: PeriodStatistics
    newest: PeriodStatistics
    responses: Sequence[ResponseStatistics]


@dataclass(frozen=True, slots=True)
class DriftQueries:
    """Queries on ratings and responses; each raises ``StorageUnavailable`` while PostgreSQL is away or too slow.

    Attributes:
        of_ratings: returns the statistics of the ratings of a period.
        of_responses: returns the statistics of the responses of each period for movies that are the head; scores are
            those of one version of the model.
        sizes: returns the number of ratings of each period.
        extent: returns the period of all ratings before a time; None without ratings.
        whole_log: returns a baseline without windows of all ratings before a time, None without ratings; raises
            ``NotEnoughData`` before the first import.
    """

    of_ratings: Callable[[Period, Measure], Awaitable[PeriodStatistics]]
    of_responses: Callable[[Sequence[Period], Sequence[int], int | None], Awaitable[list[ResponseStatistics]]]
    sizes: Callable[[Sequence[Period]], Awaitable[list[int]]]
    extent: Callable[[datetime], Awaitable[Period | None]]
    whole_log: Callable[[datetime], Awaitable[Baseline | None]]


class DriftFlow:
    """Comparison of a window with its baselines, one check at a time; every check is recorded.

    Its methods raise ``StorageUnavailable`` while PostgreSQL does not answer, or not in time.
    """

    def __init__(
        self,
        queries: DriftQueries,
        store: DriftStore,
        usual: DriftRequest,
        interval: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        """Take the queries, the records, the request of the settings, and the interval of scheduled checks."""
        self._queries = queries
        self._store = store
        self._interval = interval
        self._now = now
        self._recent: FreshCache[DriftRequest, DriftCheck] = FreshCache(lambda request: self.check(request, "api"))
        self._checking = asyncio.Lock()
        self.usual = usual

    async def recent_check(self, request: DriftRequest) -> DriftCheck:
        """Return a check that is at most a minute old, for callers who poll.

        Raises:
            InvalidInput: the window ends in the future.
        """
        return await self._recent.get(request)

    async def check(self, request: DriftRequest, origin: CheckOrigin) -> DriftCheck:
        """Run every step once, in the order of the drawing, and return the recorded check.

        Raises:
            InvalidInput: the window ends in the future.
        """
        async with self._checking:
            checked_at = self._now()
            period = await self._period(request, checked_at)
            loaded = await self.load_baseline(request.window_days)
            current = await self.compute_current(period, loaded)
            comparisons = await self.compare(period, loaded, current, request.threshold_pct)
            window = await self._window(period, request.window_days, current)
            check = self.alert_or_ok(checked_at, request, window, loaded, comparisons)
            check_id = await self._store.record(check, origin, is_usual=request == self.usual)
            return replace(check, check_id=check_id)

    async def load_baseline(self, window_days: float) -> Baselines:
        """Return the baseline of the model in production and the pinned one, with windows of a length and of a part."""
        stored = await self._store.baselines()
        return replace(
            stored,
            model=stored.model and await self._of_lengths(stored.model, window_days),
            pinned=stored.pinned and await self._of_lengths(stored.pinned, window_days),
        )

    async def compute_current(self, period: Period, loaded: Baselines) -> dict[int, CurrentStatistics]:
        """Return the statistics of the window by the id of each baseline, with its measure."""
        current: dict[int, CurrentStatistics] = {}
        length = period.ends_at - period.starts_at
        earlier = Period(period.starts_at - MAX_WINDOWS * length, period.starts_at).windows_before(length, MAX_WINDOWS)
        for stored in loaded.by_kind.values():
            if stored.baseline_id not in current:
                measure = stored.baseline.measure
                ratings, newest, responses = await asyncio.gather(
                    self._queries.of_ratings(period, measure),
                    self._queries.of_ratings(period.newest_part, measure),
                    self._queries.of_responses([*earlier, period], measure.head_movie_ids, loaded.model_version),
                )
                current[stored.baseline_id] = CurrentStatistics(ratings, newest, responses)
        return current

    async def compare(
        self, period: Period, loaded: Baselines, current: Mapping[int, CurrentStatistics], threshold_pct: float
    ) -> tuple[BaselineComparison, ...]:
        """Return the comparison with each baseline; computed in a thread, so that requests are served meanwhile.

        The baselines share the chance of a false alarm that a scheduled check of this length has.
        """
        days = (self._interval / timedelta(days=1), (period.ends_at - period.starts_at) / timedelta(days=1))
        chance = chance_of_each(chance_of_check(*days), len(loaded.by_kind))
        return await asyncio.to_thread(
            lambda: tuple(
                _compared((kind, stored), period, current[stored.baseline_id], threshold_pct, chance)
                for kind, stored in loaded.by_kind.items()
            )
        )

    def alert_or_ok(
        self,
        checked_at: datetime,
        request: DriftRequest,
        window: CheckedWindow,
        loaded: Baselines,
        comparisons: tuple[BaselineComparison, ...],
    ) -> DriftCheck:
        """Return the verdict over all baselines with its reasons; without a baseline there is not enough data."""
        compared = [comparison.comparison for comparison in comparisons]
        return DriftCheck(
            check_id=0,
            checked_at=checked_at,
            verdict=overall(compared),
            summary=summary_of(compared) if compared else _missing_baseline(loaded.model_version),
            window=window,
            threshold_pct=request.threshold_pct,
            comparisons=comparisons,
        )

    async def baselines(self) -> Baselines:
        """Return the baseline of the model in production and the pinned one, as they were taken."""
        return await self._store.baselines()

    async def pin(self, model_version: int | None) -> None:
        """Pin the baseline of a version, or without one take one now: windows up to the newest rating.

        Raises:
            NotFound: the version has no baseline.
            NotEnoughData: there are no ratings yet.
        """
        async with self._checking:
            await self._store.pin(model_version if model_version is not None else await self._baseline_now())
            self._recent.clear()

    async def unpin(self) -> None:
        """Unpin the pinned baseline, if there is one."""
        async with self._checking:
            await self._store.pin(None)
            self._recent.clear()

    async def history(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given."""
        return await self._store.recent(limit, before)

    async def _period(self, request: DriftRequest, checked_at: datetime) -> Period:
        """Return the window of a request.

        Raises:
            InvalidInput: it ends in the future.
        """
        until = checked_at if request.until is None else request.until
        if until == NEWEST:
            extent = await self._queries.extent(checked_at)
            until = extent.ends_at if extent else checked_at
        ends_at = until if isinstance(until, datetime) else checked_at
        if ends_at > checked_at and request.until != NEWEST:
            raise InvalidInput(UNTIL_RULE)
        return Period(ends_at - timedelta(days=request.window_days), ends_at)

    async def _window(
        self, period: Period, window_days: float, current: Mapping[int, CurrentStatistics]
    ) -> CheckedWindow:
        """Return the window with its sizes."""
        if current:
            any_current = next(iter(current.values()))
            n_ratings, n_responses = any_current.ratings.n_ratings, any_current.responses[-1].n_responses
        else:
            [n_ratings] = await self._queries.sizes([period])
            n_responses = (await self._queries.of_responses([period], (), None))[0].n_responses
        return CheckedWindow(period.starts_at, period.ends_at, window_days, n_ratings, n_responses)

    async def _of_lengths(self, stored: StoredBaseline, window_days: float) -> StoredBaseline:
        """Return a baseline with windows of a length, and of the newest part of such a window."""
        whole, newest = [await self._of_length(stored, days) for days in (window_days, window_days / NEWEST_PART)]
        return replace(stored, baseline=whole, newest=newest)

    async def _of_length(self, stored: StoredBaseline, window_days: float) -> Baseline:
        """Return a baseline with windows of a length: as taken, stored before, or computed up to the baseline's end."""
        if stored.baseline.window_days == window_days:
            return stored.baseline
        baseline = await self._store.baseline_of_length(stored.baseline_id, window_days)
        if baseline is None:
            baseline = await self._with_windows(stored.baseline, window_days)
            await self._store.keep_length(stored.baseline_id, baseline)
        return baseline

    async def _baseline_now(self) -> Baseline:
        """Return a baseline of the ratings as they are."""
        whole = await self._queries.whole_log(self._now())
        if whole is None:
            message = "there are no ratings to take a baseline from: run `cineclub import PATH` first"
            raise NotEnoughData(message)
        return await self._with_windows(whole, self.usual.window_days)

    async def _with_windows(self, baseline: Baseline, window_days: float) -> Baseline:
        """Return a baseline with its newest windows of a length."""
        periods = baseline.whole.period.windows_before(timedelta(days=window_days), MAX_WINDOWS)
        sizes = await self._queries.sizes(periods) if periods else []
        measure = Measure(baseline.scale, sample_size_of(sizes), baseline.head_movie_ids)
        windows = tuple([await self._queries.of_ratings(period, measure) for period in periods])
        return replace(baseline, window_days=window_days, sample_size=measure.sample_size, windows=windows)


def _compared(
    baseline: tuple[BaselineKind, StoredBaseline],
    period: Period,
    current: CurrentStatistics,
    threshold_pct: float,
    chance: float,
) -> BaselineComparison:
    """Return the comparison of a window and its newest part with the windows of a baseline that they do not overlap."""
    kind, stored = baseline
    compared = compare_ratings(_apart_from(stored.baseline, period), current.ratings, threshold_pct, chance)
    if stored.newest is not None:
        beside = _apart_from(stored.newest, period.newest_part)
        compared = with_newest(compared, beside, current.newest, threshold_pct, chance)
    of_responses = compare_responses(current.responses[:-1], current.responses[-1], threshold_pct, chance)
    compared = with_changes(compared, of_responses)
    numbers = (compared.n_windows, compared.verdict, compared.statistics, compared.segments)
    return BaselineComparison(kind, stored.model_version, stored.taken_at, *numbers)


def _apart_from(baseline: Baseline, period: Period) -> Baseline:
    """Return a baseline without the windows that overlap a period."""
    windows = tuple(window for window in baseline.windows if not window.period.overlaps(period))
    return replace(baseline, windows=windows)


def _missing_baseline(model_version: int | None) -> str:
    """Return the reason why there is nothing to compare with, and the remedy."""
    if model_version is None:
        return "not enough data: no model is in production: train, or pin a baseline (cineclub drift pin)"
    return (
        f"not enough data: version {model_version} was registered before baselines were kept: train again, or pin a "
        "baseline (cineclub drift pin)"
    )


def _days_of(window: str) -> float:
    """Return the number of days of a window such as 7d or 24h.

    Raises:
        InvalidInput: it has another form, or is too long.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", window)
    days = int(match[1]) / (1 if match[2] == "d" else 24) if match else math.inf
    if days > LONGEST_DAYS:
        raise InvalidInput(WINDOW_RULE)
    return days


def _end_of(until: str | None) -> datetime | Literal["newest"] | None:
    """Return the end of a window.

    Raises:
        InvalidInput: it is no time.
    """
    if until is None or until == NEWEST:
        return None if until is None else "newest"
    try:
        time = datetime.fromisoformat(until)
    except ValueError:
        raise InvalidInput(UNTIL_RULE) from None
    if time.tzinfo is None or time < EARLIEST:
        raise InvalidInput(UNTIL_RULE)
    try:
        return time.astimezone(UTC)  # PostgreSQL refuses offsets of 16 hours and more
    except OverflowError:
        raise InvalidInput(UNTIL_RULE) from None
