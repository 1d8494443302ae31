"""What a month has shown: figures day by day, what was injected and what became of it, and which promises held."""

from dataclasses import dataclass
from typing import Any

from cineclub.domain.documents import to_document
from cineclub.domain.significance import Interval

MOST_FALSE_ALARMS = 1
MOST_BEHIND_FROZEN = 0.01
DETECTED_WITHIN_DAYS = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A way to answer: its hit rate and nDCG@10 over all questions and by day, None for days without questions."""

    name: str
    hit_rate: float
    ndcg: float
    hit_rate_by_day: tuple[float | None, ...]
    ndcg_by_day: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What was injected and what became of it; times are simulated days, None where it did not happen.

    ``is_cut_short`` says that the month ended before it could be over: no check came whose window held nothing of it.
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
        """How long it took to be over, in words."""
        if self.is_cut_short and self.recovered_after_days is None:
            return "the month ended first"
        return days_in_words(self.recovered_after_days)


@dataclass(frozen=True, slots=True)
class NightOutcome:
    """What a night's training ended with."""

    night: int
    models: tuple[str, ...]
    seconds: float | None
    status: str
    verdict: str | None
    version: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class PromotionInHindsight:
    """A version that the gate let serve, against the one that served before, on the questions of its time.

    The intervals of all of them together have 95 %.
    """

    version: int
    previous_version: int
    at_days: float
    verdict: str
    n_answers: int
    hit_rate_ahead: Interval

    @property
    def is_worse(self) -> bool:
        """Whether hindsight is sure that it was worse."""
        return self.hit_rate_ahead.high < 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """How the service did; latencies are milliseconds as the visitors saw them."""

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
    """Something that a month has to show, what it showed, and whether that is enough."""

    text: str
    found: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class MonthReport:
    """Everything that a month has shown.

    Attributes:
        data: what was played.
        scenario: which events were injected.
        n_days: how many simulated days there were.
        day_seconds: how long each of them took at least.
        seconds: how long everything took, until the report.
        n_past: ratings imported before the month.
        n_played: ratings given in it.
        n_left_out: ratings that were not played because their person gave enough on that day.
        n_people: how many different people came.
        lines: served, popular, frozen, in this order; then the best in hindsight, over a sample, and served there.
        ahead_of_popular: by how much the served lists hit more often, each person with one vote.
        ahead_of_frozen: the same against the first model, had it served for the whole month.
        versions_by_day: which version gave most answers of each day.
        traffic: how the service did.
        events: what was injected.
        nights: what the trainings ended with.
        promotions: what the gate let serve.
        drift_checks: how many checks there were.
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
    ahead_of_frozen: Interval
    versions_by_day: tuple[int | None, ...]
    traffic: Traffic
    events: tuple[EventOutcome, ...]
    nights: tuple[NightOutcome, ...]
    promotions: tuple[PromotionInHindsight, ...]
    drift_checks: int
    false_alarms: tuple[str, ...]

    @property
    def promises(self) -> tuple[Promise, ...]:
        """What a month has to show; lists are judged where nobody spoils the ratings on purpose."""
        return (*_of_the_service(self), *(_of_the_lists(self) if not self.events else ()), *_of_the_loop(self))

    def to_document(self) -> dict[str, Any]:
        """Return the report in JSON's terms, with its promises."""
        document: dict[str, Any] = to_document(self)
        return document | {"promises": to_document(self.promises)}


def _of_the_service(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about requests."""
    traffic = month.traffic
    failed = f"{traffic.n_failed_outside_events} of {traffic.n_requests:,}"
    where = " outside what was injected" if month.events else ""
    return (
        Promise(f"no failed request{where}", failed, traffic.n_failed_outside_events == 0),
        Promise("no rating lost", str(traffic.n_ratings_lost), traffic.n_ratings_lost == 0),
    )


def _of_the_lists(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about what was served."""
    popular, frozen = month.ahead_of_popular, month.ahead_of_frozen
    return (
        Promise("hit rate@10 ahead of popular, interval above 0", in_words(popular), popular.low > 0),
        Promise(
            f"at most {MOST_BEHIND_FROZEN} behind the frozen first model",
            in_words(frozen),
            frozen.mean >= -MOST_BEHIND_FROZEN,
        ),
    )


def _of_the_loop(month: MonthReport) -> tuple[Promise, ...]:
    """Return the promises about alarms, events and promotions."""
    n_false = len(month.false_alarms)
    worse = [one.version for one in month.promotions if one.is_worse]
    named = ", ".join(f"version {version}" for version in worse)
    return (
        Promise(f"at most {MOST_FALSE_ALARMS} false alarm", str(n_false), n_false <= MOST_FALSE_ALARMS),
        Promise("nothing promoted that hindsight calls worse", named or f"{len(month.promotions)} judged", not worse),
        *(_of_event(event) for event in month.events),
    )


def _of_event(event: EventOutcome) -> Promise:
    """Return the promise about an event."""
    found = f"detected after {days_in_words(event.detected_after_days)}, recovered after: {event.recovery}"
    is_detected = event.detected_after_days is not None and event.detected_after_days <= DETECTED_WITHIN_DAYS
    return Promise(event.title, found, is_detected and (event.recovered_after_days is not None or event.is_cut_short))


def in_words(interval: Interval) -> str:
    """Return an interval of a difference as people read it."""
    return f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}, {interval.n_users} people)"


def days_in_words(value: float | None) -> str:
    """Return a number of simulated days."""
    return "never" if value is None else f"{value:.2f} days"
