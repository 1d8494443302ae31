"""Evaluation of a finished month: served lists against the lists of other models, and lost ratings and answers."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.month.agreement import Measured, VersionFigures, agreement_of
from benchmarks.month.calendar import Calendar
from benchmarks.month.drift_checks import RecordedCheck, usual_checks
from benchmarks.month.evidence import Evidence, first_days
from benchmarks.month.hindsight import AcceptedRatings, Histories, as_popular, best_version_by_day, ranks_of
from benchmarks.month.plan import MonthPlan
from benchmarks.month.report import (
    PROMISED_TREND_DAYS,
    Ahead,
    Line,
    MonthReport,
    NightOutcome,
    PromotionInHindsight,
    Traffic,
)
from benchmarks.month.scores import (
    Requests,
    confidence_of_each,
    daily_means,
    daily_sample,
    hits_of,
    mean_difference,
    ndcg_of,
    widest_difference,
)
from benchmarks.month.simulation import Recording
from cineclub.api.model_schemas import PromotionOut
from cineclub.bootstrap import storage
from cineclub.domain.evaluation.significance import Interval
from cineclub.domain.promotion.rollback import ROLLBACK
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.log import RatingLog, Snapshot
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue
from cineclub.models.popular import Popular
from cineclub.settings import Settings

MICROSECONDS = 1_000_000
SAMPLED_PER_DAY = 150
SAMPLE_STREAM, PROMOTION_STREAM, BASELINE_STREAM = 3, 4, 5
TREND_DAYS = (1.0, 3.0, 7.0, 30.0)
MEDIAN, P99 = 0.5, 0.99
LoadVersion = Callable[[int], FittedModel]


@dataclass(frozen=True, slots=True)
class Month:
    """A finished month: its plan, the ratings and their calendar, and the recording."""

    plan: MonthPlan
    whole: ImportedRatings
    calendar: Calendar
    recording: Recording
    drift_window_days: float


@dataclass(frozen=True, slots=True)
class SampledHindsight:
    """The lists of every version for a sample of the requests.

    Attributes:
        requests: (n,) the positions of the requests.
        days: (n,) the day of each.
        first_days: the first day that began after each version was registered.
        ranks: of each version, shape (n,); 0 before its first day.
    """

    requests: NDArray[np.int64]
    days: NDArray[np.int64]
    first_days: Mapping[int, int]
    ranks: Mapping[int, NDArray[np.int64]]


def evaluated(
    month: Month, settings: Settings, started_at: float, report_progress: Callable[[str], None]
) -> MonthReport:
    """Return the report of a month whose service is stopped; its database and artifacts still exist.

    Args:
        month: the finished month.
        settings: those of its service.
        started_at: start of the whole run (``time.time``).
        report_progress: receives one line of progress.
    """
    report_progress("evaluating in hindsight")
    with storage.database(settings) as connected:
        versions = storage.model_versions(connected)
        snapshot = storage.rating_store(connected).load_snapshot(lambda _fraction: None)
        drift_checks = usual_checks(storage.database_url(connected))
        loaded: dict[int, FittedModel] = {}

        def load(version: int) -> FittedModel:
            if version not in loaded:
                loaded[version] = versions.load(version)
            return loaded[version]

        return _MonthEvaluation(month, snapshot, drift_checks, load).report(started_at)


class _MonthEvaluation:
    """Evaluates one month."""

    def __init__(self, month: Month, snapshot: Snapshot, drift_checks: list[RecordedCheck], load: LoadVersion) -> None:
        """Arrange requests and ratings as arrays."""
        self._month = month
        self._load = load
        self._snapshot = snapshot
        self._responses = [visit for visit in month.recording.visits if visit.version]
        self._requests = _requests(month)
        self._requested_at = np.array([visit.requested_at for visit in self._responses])
        self._accepted = _accepted_ratings(month)
        ids = {movie.external_id: movie.movie_id for movie in snapshot.movies}
        self._movie_ids = np.array([ids[name] for name in month.whole.rows.movie_ids], np.int64)
        self._histories = Histories(self._accepted, self._requests, self._movie_ids, month.whole.scale)
        self._evidence = Evidence(month.recording, drift_checks, month.plan.day_seconds, month.drift_window_days)

    def report(self, started_at: float) -> MonthReport:
        """Return the report."""
        month, requests = self._month, self._requests
        first = month.recording.nights[0].version or 1
        frozen = ranks_of(self._load(first), self._histories, np.arange(len(requests)))
        popular = {days: self._popular_ranks(days) for days in (0.0, *TREND_DAYS)}
        hindsight = self._sampled()
        versions = self._version_figures(hindsight)
        return MonthReport(
            data=month.plan.path.name if month.plan.path else "demo",
            scenario=month.plan.scenario,
            n_days=month.plan.n_days,
            day_seconds=month.plan.day_seconds,
            lines=(
                self._line("served", requests.ranks, requests.days, "served"),
                *self._popular_lines(popular),
                *self._baseline_lines(),
                self._line("first model, frozen", frozen, requests.days, "frozen"),
                *self._best_in_hindsight(hindsight),
            ),
            n_past=len(month.calendar.past),
            n_played=len(month.recording.visits),
            n_left_out=month.calendar.n_left_out,
            n_people=len(np.unique(requests.user_codes)),
            ahead_of_popular=self._ahead_of(popular[0.0]),
            ahead_of_trends=tuple(Ahead(_name_of(days), self._ahead_of(popular[days])) for days in TREND_DAYS),
            ahead_of_frozen=self._ahead_of(frozen),
            versions_by_day=self._versions_by_day(),
            traffic=self._traffic(),
            events=self._evidence.outcomes(),
            nights=self._nights(),
            promotions=self._promotions(),
            versions=versions,
            agreement=agreement_of(versions),
            drift_checks=self._evidence.n_checks(),
            false_alarms=self._evidence.false_alarms(),
            seconds=time.time() - started_at,
        )

    def _ahead_of(self, ranks: NDArray[np.int64]) -> Interval:
        """Return how far the served lists' hit rate is ahead of that of other lists for the same requests."""
        return widest_difference(hits_of(self._requests.ranks), hits_of(ranks), self._requests)

    def _rng(self, stream: int) -> np.random.Generator:
        """Return the random generator of one part of the report."""
        return np.random.default_rng([self._month.plan.seed, stream])

    def _line(self, name: str, ranks: NDArray[np.int64], days: NDArray[np.int64], curve: str = "") -> Line:
        """Return the scores of one source of lists, with the curve that shows it; empty for none."""
        hits, ndcg, n_days = hits_of(ranks), ndcg_of(ranks), self._month.plan.n_days
        return Line(
            name=name,
            curve=curve,
            hit_rate=float(hits.mean()),
            ndcg=float(ndcg.mean()),
            hit_rate_by_day=tuple(daily_means(hits, days, n_days)),
            ndcg_by_day=tuple(daily_means(ndcg, days, n_days)),
        )

    def _popular_lines(self, popular: Mapping[float, NDArray[np.int64]]) -> tuple[Line, ...]:
        """Return the scores of popular of all time and of the last days, by half-life in days."""
        curves = {0.0: "popular", PROMISED_TREND_DAYS: "trend"}
        days = self._requests.days
        return tuple(
            self._line(_name_of(half_life), ranks, days, curves.get(half_life, ""))
            for half_life, ranks in popular.items()
        )

    def _baseline_lines(self) -> tuple[Line, ...]:
        """Return the scores of bias and random, fitted on the ratings before the month."""
        past = self._accepted.request_indices < 0
        log = RatingLog.from_columns(
            self._accepted.user_codes[past],
            self._movie_ids[self._accepted.movie_codes[past]],
            self._accepted.ratings[past],
            self._accepted.rated_at[past],
            self._month.whole.scale,
        )
        matrix, rows = RatingMatrix.from_log(log), np.arange(len(self._requests))
        models = (
            catalogue.fit(catalogue.default_recipe(name), matrix, self._rng(BASELINE_STREAM), lambda _fraction: None)
            for name in ("bias", "random")
        )
        return tuple(
            self._line(model.recommender.name, ranks_of(model, self._histories, rows), self._requests.days)
            for model in models
        )

    def _popular_ranks(self, half_life_days: float) -> NDArray[np.int64]:
        """Return the ranks, shape (n,), in the popular list of all movies, as the service would have made it.

        That of all time is as of the version's training; with a half-life it follows the crowd up to each request.
        """
        ranks = np.zeros(len(self._requests), np.int64)
        for version in np.unique(self._requests.versions).tolist():
            rows = np.flatnonzero(self._requests.versions == version)
            model = as_popular(
                self._load(version),
                self._movie_ids,
                lambda popularity: Popular(popularity, half_life_days, Context.empty(len(popularity))),
            )
            ranks[rows] = ranks_of(model, self._histories, rows)
        return ranks

    def _sampled(self) -> SampledHindsight:
        """Return the ranks in the lists of every version on a sample of the requests after its registration."""
        sample = daily_sample(self._requests.days, SAMPLED_PER_DAY, self._rng(SAMPLE_STREAM))
        days = self._requests.days[sample]
        registered = [(version.version, version.registered_at) for version in self._month.recording.versions]
        since = first_days(registered, self._month.recording.day_began_at)
        ranks = {}
        for version, day in since.items():
            rows = np.flatnonzero(days >= day)
            ranks[version] = np.zeros(len(sample), np.int64)
            ranks[version][rows] = ranks_of(self._load(version), self._histories, sample[rows])
        return SampledHindsight(sample, days, since, ranks)

    def _version_figures(self, hindsight: SampledHindsight) -> tuple[VersionFigures, ...]:
        """Return every version's figures from its training, while it served, and on the sample in hindsight."""
        requests = self._requests
        return tuple(
            VersionFigures(
                version=row.version,
                model=Recipe(row.name, row.hyperparameters).title,
                offline=Measured.of_training(row.metrics),
                live=Measured.of_ranks(requests.ranks[requests.versions == row.version]),
                hindsight=Measured.of_ranks(
                    hindsight.ranks[row.version][hindsight.days >= hindsight.first_days[row.version]]
                ),
            )
            for row in sorted(self._month.recording.versions, key=lambda row: row.version)
        )

    def _best_in_hindsight(self, hindsight: SampledHindsight) -> tuple[Line, Line]:
        """Return the scores of each day's best version on a sample of requests, and of the served lists on it."""
        best, _ = best_version_by_day(hindsight.ranks, hindsight.first_days, hindsight.days)
        sample, days = hindsight.requests, hindsight.days
        return (
            self._line("best in hindsight", best, days, "best"),
            self._line(f"served, the same {len(sample):,}", self._requests.ranks[sample], days),
        )

    def _versions_by_day(self) -> tuple[int | None, ...]:
        """Return the version that answered most requests of each day."""
        versions, days = self._requests.versions, self._requests.days
        of_days = [versions[days == day] for day in range(1, self._month.plan.n_days + 1)]
        return tuple(int(np.bincount(of_day).argmax()) if len(of_day) else None for of_day in of_days)

    def _promotions(self) -> tuple[PromotionInHindsight, ...]:
        """Return the promotions by the gate that answered requests, each compared with the previous version."""
        promotions = self._evidence.promotions()
        began_at = [promotion.promoted_at.timestamp() for promotion in promotions]
        period = np.searchsorted(began_at, self._requested_at, side="right") - 1
        compared = [
            (promotion, promotion.previous_version, rows)
            for nth, promotion in enumerate(promotions)
            if promotion.previous_version is not None
            and promotion.verdict != ROLLBACK
            and promotion.promoted_by == "gate"
            and len(rows := np.flatnonzero((period == nth) & (self._requests.versions == promotion.version)))
        ]
        confidence = confidence_of_each(len(compared))
        return tuple(
            self._in_hindsight(promotion, previous, rows, confidence) for promotion, previous, rows in compared
        )

    def _in_hindsight(
        self, promotion: PromotionOut, previous: int, rows: NDArray[np.int64], confidence: float
    ) -> PromotionInHindsight:
        """Return the comparison of a promotion with the previous version on the requests that it answered.

        Both predict in hindsight: served lists move, and follow counts that were read a moment before.
        """
        theirs, ours = (
            hits_of(ranks_of(self._load(version), self._histories, rows)) for version in (previous, promotion.version)
        )
        users = self._requests.user_codes[rows]
        interval = mean_difference(ours, theirs, users, self._rng(PROMOTION_STREAM), confidence)
        at_days = self._evidence.day_of(promotion.promoted_at.timestamp())
        return PromotionInHindsight(promotion.version, previous, at_days, promotion.verdict, len(rows), interval)

    def _nights(self) -> tuple[NightOutcome, ...]:
        """Return the outcomes of the trainings."""
        return tuple(
            NightOutcome(
                night=night.day,
                models=night.models,
                seconds=night.ended_at - night.began_at if night.ended_at else None,
                status=night.status,
                verdict=night.verdict,
                version=night.version,
                reason=night.reason,
            )
            for night in self._month.recording.nights
        )

    def _traffic(self) -> Traffic:
        """Return requests, failures, losses and latencies."""
        visits, outcomes = self._month.recording.visits, self._month.recording.outcomes
        predict_ms = np.array([visit.predict_seconds for visit in self._responses]) * 1000
        rate_ms = np.array([visit.rate_seconds for visit in visits if visit.is_rated]) * 1000
        n_failed = sum(visit.n_failed for visit in visits)
        n_logged = sum(version.n_answers for version in outcomes.versions) if outcomes else 0
        return Traffic(
            n_requests=2 * len(visits) + n_failed,
            n_failed=n_failed,
            n_failed_outside_events=self._evidence.n_failed_outside_events(),
            n_degraded=sum(visit.is_degraded for visit in visits),
            predict_p50_ms=float(np.quantile(predict_ms, MEDIAN)),
            predict_p99_ms=float(np.quantile(predict_ms, P99)),
            rate_p50_ms=float(np.quantile(rate_ms, MEDIAN)),
            rate_p99_ms=float(np.quantile(rate_ms, P99)),
            n_ratings_lost=self._n_ratings_lost(),
            n_recommendations_lost=len(self._responses) - n_logged,
        )

    def _n_ratings_lost(self) -> int:
        """Return the number of ratings that were refused or that the database does not hold as they were sent."""
        accepted, log = self._accepted, self._snapshot.log
        ids = {movie.external_id: movie.movie_id for movie in self._snapshot.movies}
        movie_ids = [ids[self._month.whole.rows.movie_ids[code]] for code in accepted.movie_codes]
        sent = Counter(zip(movie_ids, accepted.ratings.tolist(), strict=True))
        stored = Counter(zip(log.movie_ids.tolist(), log.ratings.tolist(), strict=True))
        n_refused = sum(not visit.is_rated for visit in self._month.recording.visits)
        return n_refused + (sent - stored).total()


def _requests(month: Month) -> Requests:
    """Return the answered requests, in order of time."""
    responses = [visit for visit in month.recording.visits if visit.version]
    return Requests(
        days=np.array([visit.visit.day for visit in responses], np.int64),
        user_codes=np.array([visit.visit.user_code for visit in responses], np.int64),
        movie_codes=np.array([visit.visit.movie_code for visit in responses], np.int64),
        versions=np.array([visit.version for visit in responses], np.int64),
        ranks=np.array([visit.rank for visit in responses], np.int64),
        moments=np.array([int(visit.requested_at * MICROSECONDS) for visit in responses], np.int64),
    )


def _name_of(half_life_days: float) -> str:
    """Return the name of popular with a half-life, 0 for that of all time."""
    return Recipe(Popular.name, {"half_life_days": half_life_days}).title


def _accepted_ratings(month: Month) -> AcceptedRatings:
    """Return the imported ratings, then those of the month that the service accepted, with the request before each."""
    rows, past = month.whole.rows, month.calendar.past
    ages = (month.calendar.days_before * month.plan.day_seconds * MICROSECONDS).astype(np.int64)
    order = np.argsort(-ages, kind="stable")
    n_answered, played = 0, []
    for result in month.recording.visits:
        if result.is_rated:
            visit, rated_at = result.visit, int(result.requested_at * MICROSECONDS)
            played.append((visit.user_code, visit.movie_code, visit.rating, rated_at, n_answered))
        n_answered += bool(result.version)
    users, movies, ratings, times, requests = (np.array(column) for column in zip(*played, strict=True))
    begins_at = int(month.recording.begins_at * MICROSECONDS)
    return AcceptedRatings(
        user_codes=np.concatenate([rows.user_codes[past][order], users]).astype(np.int64),
        movie_codes=np.concatenate([rows.movie_codes[past][order], movies]).astype(np.int64),
        ratings=np.concatenate([rows.ratings[past][order], ratings]).astype(np.float32),
        rated_at=np.concatenate([begins_at - ages[order], times]).astype(np.int64),
        request_indices=np.concatenate([np.full(len(past), -1), requests]).astype(np.int64),
    )
