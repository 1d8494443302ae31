"""The report of a month: figures by day, the injected events and their outcomes, and the promises."""

from dataclasses import dataclass
from typing import Any

from benchmarks.month.agreement import Agreement, VersionFigures
from cineclub.domain.documents import to_document
from cineclub.domain.evaluation.significance import Interval
from cineclub.domain.recommend.recipe import POPULAR, Recipe

MAX_FALSE_ALARMS = 1
MAX_BEHIND_FROZEN = 0.01
MAX_DETECTION_DAYS = 1.0
PROMISED_TREND_DAYS = 7.0
"""The half-life of the trend that the served lists must beat."""


@dataclass(frozen=True, slots=True)
class Line:
    """A source of lists: hit rate and nDCG@10 over all requests and by day, None for days without requests.

    ``curve`` is the class of its curve in the plot; empty for none.
    """

    name: str
    curve: str
    hit_rate: float
    ndcg: float
    hit_rate_by_day: tuple[float | None, ...]
    ndcg_by_day: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far the served lists' hit rate is ahead of other lists: the widest interval by user, movie and day."""

    of: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """An injected event and its outcome; times are simulated days, None for what did not happen.

    Attributes:
        kind: of ``events.EventKind``.
        title: the event in words.
        detail: the genre or version concerned; empty for other events.
        at_days: start of the event.
        verdict: detection and recovery in words.
        detected_after_days: time from the start until the detection.
        recovered_after_days: time from the start until the recovery.
        is_cut_short: whether the month ended before any drift window was free of the event's traces.
    """

    kind: str
    title: str
    detail: str
    at_days: float
    verdict: str
    detected_after_days: float | None
    recovered_after_days: float | None
    is_cut_short: bool = False

    @property
    def recovery(self) -> str:
        """The time until the recovery, in words."""
        if self.is_cut_short and self.recovered_after_days is None:
            return "the month ended first"
        return days_in_words(self.recovered_after_days)


@dataclass(frozen=True, slots=True)
class NightOutcome:
    """The outcome of a night's training."""

    night: int
    models: tuple[str, ...]
    seconds: float | None
    status: str
    verdict: str | None
    version: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class PromotionInHindsight:
    """A version that the gate promoted, compared with the previous one on the requests that it answered.

    The intervals of all promotions together have 95 % confidence.
    """

    version: int
    previous_version: int
    at_days: float
    verdict: str
    n_answers: int
    hit_rate_ahead: Interval

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.hit_rate_ahead.high < 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests, failures and losses of the month; latencies are milliseconds, measured by the client."""

    n_requests: int
    n_failed: int
    n_failed_outside_events: int
    n_degraded: int
    predict_p50_ms: float
    predict_p99_ms: float
    rate_p50_ms: float
    rate_p99_ms: float
    n_ratings_lost: int
    n_recommendations_lost: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A condition that every month must meet, the observed value, and whether it was met."""

    text: str
    finding: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class MonthReport:
    """The results of a month.

    Attributes:
        data: name of the ratings.
        scenario: name of the scenario.
        n_days: number of simulated days.
        day_seconds: least duration of a simulated day.
        seconds: duration of the whole run, until the report.
        n_past: ratings imported before the month.
        n_played: ratings given during the month.
        n_left_out: ratings that were not played because their user reached the daily limit.
        n_people: number of different users.
        lines: served, popular of all time and of the last days, frozen; on a sample, the best in hindsight and served.
        ahead_of_popular: difference of the hit rates of served and popular lists, each user with the same weight.
        ahead_of_trends: the same against popular of the last days, which follows the crowd up to each request.
        ahead_of_frozen: the same against the first model, had it served for the whole month.
        versions_by_day: the version that answered most requests of each day.
        traffic: requests, failures, losses and latencies.
        events: the injected events.
        nights: the outcomes of the trainings.
        promotions: the versions that the gate promoted and that answered requests.
        versions: every version with its figures from its training and from the month.
        agreement: how well these agree.
        drift_checks: number of drift checks while days were played.
        false_alarms: alarms that no event explains.
    """

    data: str
    scenario: str
    n_days: int
    day_seconds: float
    seconds: float
    n_past: int
    n_played: int
    n_left_out: int
    n_people: int
    lines: tuple[Line, ...]
    ahead_of_popular: Interval
    ahead_of_trends: tuple[Ahead, ...]
    ahead_of_frozen: Interval
    versions_by_day: tuple[int | None, ...]
    traffic: Traffic
    events: tuple[EventOutcome, ...]
    nights: tuple[NightOutcome, ...]
    promotions: tuple[PromotionInHindsight, ...]
    versions: tuple[VersionFigures, ...]
    agreement: tuple[Agreement, ...]
    drift_checks: int
    false_alarms: tuple[str, ...]

    @property
    def promises(self) -> tuple[Promise, ...]:
        """The promises of this scenario; those about the quality of lists apply to a calm month only."""
        return (*_service_promises(self), *(_list_promises(self) if not self.events else ()), *_loop_promises(self))

    def to_document(self) -> dict[str, Any]:
        """Return the report as a JSON document, with its promises."""
        document: dict[str, Any] = to_document(self)
        return document | {"promises": to_document(self.promises)}


def _service_promises(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about requests."""
    traffic = month.traffic
    failed = f"{traffic.n_failed_outside_events} of {traffic.n_requests:,}"
    where = " outside what was injected" if month.events else ""
    return (
        Promise(f"no failed request{where}", failed, traffic.n_failed_outside_events == 0),
        Promise("no rating lost", str(traffic.n_ratings_lost), traffic.n_ratings_lost == 0),
    )


def _list_promises(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about the served lists."""
    popular, frozen = month.ahead_of_popular, month.ahead_of_frozen
    promised = Recipe(POPULAR, {"half_life_days": PROMISED_TREND_DAYS}).title
    return (
        Promise("hit rate@10 ahead of popular, interval above 0", in_words(popular), popular.low > 0),
        *(
            Promise(
                f"hit rate@10 ahead of {ahead.of}, interval above 0", in_words(ahead.interval), ahead.interval.low > 0
            )
            for ahead in month.ahead_of_trends
            if ahead.of == promised
        ),
        Promise(
            f"at most {MAX_BEHIND_FROZEN} behind the frozen first model",
            in_words(frozen),
            frozen.mean >= -MAX_BEHIND_FROZEN,
        ),
    )


def _loop_promises(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about alarms, events and promotions."""
    n_false = len(month.false_alarms)
    worse = [promotion.version for promotion in month.promotions if promotion.is_worse]
    named = ", ".join(f"version {version}" for version in worse)
    return (
        Promise(f"at most {MAX_FALSE_ALARMS} false alarm", str(n_false), n_false <= MAX_FALSE_ALARMS),
        Promise("nothing promoted that hindsight calls worse", named or f"{len(month.promotions)} judged", not worse),
        *(_event_promise(event) for event in month.events),
    )


def _event_promise(event: EventOutcome) -> Promise:
    """Return the promise about an event."""
    outcome = f"detected after {days_in_words(event.detected_after_days)}, recovered after: {event.recovery}"
    is_detected = event.detected_after_days is not None and event.detected_after_days <= MAX_DETECTION_DAYS
    return Promise(event.title, outcome, is_detected and (event.recovered_after_days is not None or event.is_cut_short))


def in_words(interval: Interval) -> str:
    """Return the interval of a difference in words."""
    widest = f", widest by {interval.clusters}" if interval.n_days else ""
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}, {interval.n_users} people{widest})"


def days_in_words(value: float | None) -> str:
    """Return a number of simulated days in words, ``never`` for None."""
    return "never" if value is None else f"{value:.2f} days"
