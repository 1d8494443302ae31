"""Judges a month once it is over: served lists beside what other models would have listed, and what was lost."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub import bootstrap
from cineclub.api.schemas import PromotionOut
from cineclub.domain.imported_ratings import ImportedRatings
from cineclub.domain.ratings import Snapshot
from cineclub.domain.recommender import FittedModel
from cineclub.domain.replay.calendar import Calendar
from cineclub.domain.replay.hindsight import Given, Histories, as_popular, best_by_day, ranks_of
from cineclub.domain.replay.report import (
    Line,
    MonthReport,
    NightOutcome,
    PromotionInHindsight,
    Traffic,
)
from cineclub.domain.replay.scores import (
    Asked,
    ahead,
    by_day,
    confidence_of_each,
    gains_of,
    hits_of,
    sample_of,
)
from cineclub.domain.rollback import ROLLBACK
from cineclub.models.popular import Popular
from cineclub.replay.director import Played
from cineclub.replay.evidence import Evidence, first_days
from cineclub.replay.plan import MonthPlan
from cineclub.settings import Settings

MICROSECONDS = 1_000_000
SAMPLED_A_DAY = 150
POPULAR_STREAM, FROZEN_STREAM, SAMPLE_STREAM, PROMOTION_STREAM = 1, 2, 3, 4
MEDIAN, ALMOST_ALL = 0.5, 0.99
Load = Callable[[int], FittedModel]


@dataclass(frozen=True, slots=True)
class Month:
    """A month that is over, with what it was made of."""

    plan: MonthPlan
    whole: ImportedRatings
    calendar: Calendar
    played: Played
    drift_window_days: float


def judged(month: Month, settings: Settings, begun_at: float, tell: Callable[[str], None]) -> MonthReport:
    """Return what a month has shown; the service is stopped, its database and artifacts are still there."""
    tell("judging in hindsight")
    with bootstrap.database(settings) as connected:
        registry = bootstrap.registry(connected)
        snapshot = bootstrap.rating_store(connected).load_snapshot(lambda _fraction: None)
        loaded: dict[int, FittedModel] = {}

        def load(version: int) -> FittedModel:
            if version not in loaded:
                loaded[version] = registry.load(version)
            return loaded[version]

        return _Judge(month, snapshot, load).report(begun_at)


class _Judge:
    """Makes the report of one month."""

    def __init__(self, month: Month, snapshot: Snapshot, load: Load) -> None:
        """Bring questions and ratings into arrays."""
        self._month = month
        self._load = load
        self._snapshot = snapshot
        self._answered = [one for one in month.played.encounters if one.version]
        self._asked = _asked(month)
        self._asked_at = np.array([one.asked_at for one in self._answered])
        self._given = _given(month)
        ids = {movie.external_id: movie.movie_id for movie in snapshot.movies}
        movie_ids = np.array([ids[name] for name in month.whole.rows.movie_ids], np.int64)
        self._histories = Histories(self._given, self._asked, movie_ids)
        self._evidence = Evidence(month.played, month.plan.day_seconds, month.drift_window_days)

    def report(self, begun_at: float) -> MonthReport:
        """Return the report."""
        month, asked = self._month, self._asked
        everything = np.arange(len(asked))
        first = month.played.nights[0].version or 1
        frozen = ranks_of(self._load(first), self._histories, everything)
        popular = self._popular()
        hits = hits_of(asked.ranks)
        return MonthReport(
            data=month.plan.path.name if month.plan.path else "demo",
            scenario=month.plan.scenario,
            n_days=month.plan.n_days,
            day_seconds=month.plan.day_seconds,
            lines=(
                self._line("served", asked.ranks, asked.days),
                self._line("popular", popular, asked.days),
                self._line("first model, frozen", frozen, asked.days),
                *self._best(),
            ),
            n_past=len(month.calendar.past),
            n_played=len(month.played.encounters),
            n_left_out=month.calendar.n_left_out,
            n_people=len(np.unique(asked.user_codes)),
            ahead_of_popular=ahead(hits, hits_of(popular), asked.user_codes, self._rng(POPULAR_STREAM)),
            ahead_of_frozen=ahead(hits, hits_of(frozen), asked.user_codes, self._rng(FROZEN_STREAM)),
            versions_by_day=self._versions_by_day(),
            traffic=self._traffic(),
            events=self._evidence.outcomes(),
            nights=self._nights(),
            promotions=self._promotions(),
            drift_checks=self._evidence.n_checks(),
            false_alarms=self._evidence.false_alarms(),
            seconds=time.time() - begun_at,
        )

    def _rng(self, stream: int) -> np.random.Generator:
        """Return where the random choices of one part come from."""
        return np.random.default_rng([self._month.plan.seed, stream])

    def _line(self, name: str, ranks: NDArray[np.int64], days: NDArray[np.int64]) -> Line:
        """Return the figures of a way to answer."""
        hits, gains, n_days = hits_of(ranks), gains_of(ranks), self._month.plan.n_days
        return Line(
            name, float(hits.mean()), float(gains.mean()),
            tuple(by_day(hits, days, n_days)), tuple(by_day(gains, days, n_days)),
        )  # fmt: skip

    def _popular(self) -> NDArray[np.int64]:
        """Return the ranks in the popular list as it was when the version that answered learned."""
        ranks = np.zeros(len(self._asked), np.int64)
        for version in np.unique(self._asked.versions).tolist():
            rows = np.flatnonzero(self._asked.versions == version)
            ranks[rows] = ranks_of(as_popular(self._load(version), Popular), self._histories, rows)
        return ranks

    def _best(self) -> tuple[Line, Line]:
        """Return the version of each day that was best on a sample of its questions, and what was served there."""
        sample = sample_of(self._asked.days, SAMPLED_A_DAY, self._rng(SAMPLE_STREAM))
        days = self._asked.days[sample]
        registered = [(one.version, one.registered_at) for one in self._month.played.versions]
        since = first_days(registered, self._month.played.day_began_at)
        ranks = {}
        for version, day in since.items():
            rows = np.flatnonzero(days >= day)
            ranks[version] = np.zeros(len(sample), np.int64)
            ranks[version][rows] = ranks_of(self._load(version), self._histories, sample[rows])
        best, _ = best_by_day(ranks, since, days)
        return (
            self._line("best in hindsight", best, days),
            self._line(f"served, the same {len(sample):,}", self._asked.ranks[sample], days),
        )

    def _versions_by_day(self) -> tuple[int | None, ...]:
        """Return which version gave most answers of each day."""
        of_days = [self._asked.versions[self._asked.days == day] for day in range(1, self._month.plan.n_days + 1)]
        return tuple(int(np.bincount(one).argmax()) if len(one) else None for one in of_days)

    def _promotions(self) -> tuple[PromotionInHindsight, ...]:
        """Return what the gate let serve and answered with, each against what served before."""
        promotions = self._evidence.promotions()
        began = [one.promoted_at.timestamp() for one in promotions]
        period = np.searchsorted(began, self._asked_at, side="right") - 1
        answered = [
            np.flatnonzero((period == nth) & (self._asked.versions == one.version))
            for nth, one in enumerate(promotions)
        ]
        judged = [
            (one, one.previous_version, rows)
            for one, rows in zip(promotions, answered, strict=True)
            if one.previous_version is not None and one.verdict != ROLLBACK and one.promoted_by == "gate" and len(rows)
        ]
        confidence = confidence_of_each(len(judged))
        return tuple(self._in_hindsight(one, former, rows, confidence) for one, former, rows in judged)

    def _in_hindsight(
        self, promotion: PromotionOut, former: int, rows: NDArray[np.int64], confidence: float
    ) -> PromotionInHindsight:
        """Return a promotion against what served before it, on the questions that it answered."""
        theirs = hits_of(ranks_of(self._load(former), self._histories, rows))
        ours, people = hits_of(self._asked.ranks[rows]), self._asked.user_codes[rows]
        interval = ahead(ours, theirs, people, self._rng(PROMOTION_STREAM), confidence)
        at_days = self._evidence.day_of(promotion.promoted_at.timestamp())
        return PromotionInHindsight(promotion.version, former, at_days, promotion.verdict, len(rows), interval)

    def _nights(self) -> tuple[NightOutcome, ...]:
        """Return what the trainings ended with."""
        return tuple(
            NightOutcome(
                night=one.day,
                models=one.models,
                seconds=one.ended_at - one.begun_at if one.ended_at else None,
                status=one.status,
                verdict=one.verdict,
                version=one.version,
                reason=one.reason,
            )
            for one in self._month.played.nights
        )

    def _traffic(self) -> Traffic:
        """Return how the service did."""
        encounters, outcomes = self._month.played.encounters, self._month.played.outcomes
        predict = np.array([one.predict_seconds for one in self._answered]) * 1000
        rate = np.array([one.rate_seconds for one in encounters if one.is_rated]) * 1000
        n_failed = sum(one.n_failed for one in encounters)
        n_logged = sum(one.n_answers for one in outcomes.versions) if outcomes else 0
        return Traffic(
            n_requests=2 * len(encounters) + n_failed,
            n_failed=n_failed,
            n_failed_outside_events=self._evidence.n_failed_outside_events(),
            n_degraded=sum(one.is_degraded for one in encounters),
            predict_p50_ms=float(np.quantile(predict, MEDIAN)),
            predict_p99_ms=float(np.quantile(predict, ALMOST_ALL)),
            rate_p50_ms=float(np.quantile(rate, MEDIAN)),
            rate_p99_ms=float(np.quantile(rate, ALMOST_ALL)),
            n_ratings_lost=self._n_lost(),
            n_recommendations_lost=len(self._answered) - n_logged,
        )

    def _n_lost(self) -> int:
        """Return how many ratings were given and are not in the database as they were given."""
        ids = {movie.external_id: movie.movie_id for movie in self._snapshot.movies}
        names = self._month.whole.rows.movie_ids
        given = [(ids[names[code]], rating) for code, rating in zip(self._given.movie_codes.tolist(),
                 self._given.ratings.tolist(), strict=True)]  # fmt: skip
        n_refused = sum(not one.is_rated for one in self._month.played.encounters)
        log = self._snapshot.log
        return n_refused + _n_missing(given, list(zip(log.movie_ids.tolist(), log.ratings.tolist(), strict=True)))


def _n_missing(given: list[tuple[int, float]], kept: list[tuple[int, float]]) -> int:
    """Return how many of some ratings others do not hold, each as often as it was given."""
    return (Counter(given) - Counter(kept)).total()


def _asked(month: Month) -> Asked:
    """Return the questions that were answered, in order of time."""
    answered = [one for one in month.played.encounters if one.version]
    columns = zip(
        *((one.visit.day, one.visit.user_code, one.visit.movie_code, one.version, one.rank) for one in answered),
        strict=True,
    )
    return Asked(*(np.array(column, np.int64) for column in columns))


def _given(month: Month) -> Given:
    """Return every rating that was taken: those of the past, then those of the month with the question before each."""
    rows, past = month.whole.rows, month.calendar.past
    ages = (month.calendar.days_before * month.plan.day_seconds * MICROSECONDS).astype(np.int64)
    order = np.argsort(-ages, kind="stable")
    nth, played = 0, []
    for one in month.played.encounters:
        if one.is_rated:
            visit = one.visit
            played.append((visit.user_code, visit.movie_code, visit.rating, int(one.asked_at * MICROSECONDS), nth))
        nth += bool(one.version)
    users, movies, ratings, times, questions = (np.array(column) for column in zip(*played, strict=True))
    begins_at = int(month.played.begins_at * MICROSECONDS)
    return Given(
        user_codes=np.concatenate([rows.user_codes[past][order], users]).astype(np.int64),
        movie_codes=np.concatenate([rows.movie_codes[past][order], movies]).astype(np.int64),
        ratings=np.concatenate([rows.ratings[past][order], ratings]).astype(np.float32),
        rated_at=np.concatenate([begins_at - ages[order], times]).astype(np.int64),
        questions=np.concatenate([np.full(len(past), -1), questions]).astype(np.int64),
    )
