"""How good a fitted model is on a window of people: the code that serves, judged on what they rated next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain import metrics
from cineclub.domain.batch_ranking import NO_MOVIE, lists_of
from cineclub.domain.cold_start import Answer
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import RatingScale
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, History, PredictsStars
from cineclub.domain.splitting import JudgedWindow

NO_FILM = -1
NORMAL_95 = 1.959964
"""Standard errors from the middle to either end of a 95 % interval."""
SEGMENTS: Mapping[str, tuple[float, float]] = {"1-4": (1, 4), "5-19": (5, 19), "20+": (20, np.inf)}
"""Users by how many ratings are known of them, both ends included."""

BY_USER = (
    "user_ids",
    "n_known",
    "recommended",
    "novelty_bits",
    "squared_errors",
    "absolute_errors",
    "n_predicted",
)
"""The arrays of a judgement that have a row for each person."""

RANKING_METRICS = {
    "ndcg": metrics.ndcg_at_k,
    "recall": metrics.recall_at_k,
    "precision": metrics.precision_at_k,
    "map": metrics.average_precision_at_k,
    "hit_rate": metrics.hit,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one model did for every person of a window; two of one window are aligned person by person.

    Of several windows pooled, a person has a row for each window; means count every person once.

    Attributes:
        recipe: the judged model.
        top_k: the length of the lists.
        scale: the scale of the ratings.
        n_movies: the films the model could recommend.
        user_ids: (n_users,) rising within a window.
        n_known: (n_users,) ratings known of each person.
        recommended: (n_users, top_k) film ids, best first; -1 where the list was shorter.
        per_user: metric name to (n_users,), NaN for those who liked nothing of what was held out.
        novelty_bits: (n_users,) mean self-information of each list.
        squared_errors: (n_users,) summed over each person's held-out ratings; zero where no stars are predicted.
        absolute_errors: (n_users,) likewise.
        n_predicted: (n_users,) held-out ratings of films the model knows; zero where no stars are predicted.
    """

    recipe: Recipe
    top_k: int
    scale: RatingScale
    n_movies: int
    user_ids: NDArray[np.int64]
    n_known: NDArray[np.int64]
    recommended: NDArray[np.int64]
    per_user: Mapping[str, NDArray[np.float64]]
    novelty_bits: NDArray[np.float64]
    squared_errors: NDArray[np.float64]
    absolute_errors: NDArray[np.float64]
    n_predicted: NDArray[np.int64]

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """The primary metric of each person, shape (n_users,)."""
        return self.per_user["ndcg"]

    @property
    def is_judged(self) -> NDArray[np.bool_]:
        """Say of each person, shape (n_users,), whether they liked something of what was held out."""
        return ~np.isnan(self.ndcg)

    @property
    def n_judged(self) -> int:
        """How many people have a ranking to judge."""
        return self._n_people(self.is_judged)

    def by_person(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each person's mean over their windows, shape (n_people,), of values (n_users,); NaN counts nothing."""
        is_known = ~np.isnan(values)
        _, people = np.unique(self.user_ids[is_known], return_inverse=True)
        counts = np.bincount(people)
        return np.asarray(np.bincount(people, weights=values[is_known]) / counts, np.float64)

    @property
    def predicts_stars(self) -> bool:
        """Whether there are rating errors."""
        return bool(self.n_predicted.any())

    @property
    def coverage(self) -> float:
        """The share of the model's films that came up in any list."""
        return metrics.coverage(self.recommended, self.n_movies)

    @property
    def n_recommended(self) -> int:
        """How many different films came up in any list."""
        return len(np.unique(self.recommended[self.recommended != NO_FILM]))

    @property
    def rmse(self) -> float:
        """The root mean squared error over all predicted held-out ratings; NaN without any."""
        return float(np.sqrt(_mean_of_sums(self.squared_errors, self.n_predicted)))

    @property
    def mae(self) -> float:
        """The mean absolute error over all predicted held-out ratings; NaN without any."""
        return _mean_of_sums(self.absolute_errors, self.n_predicted)

    def in_segment(self, segment: str) -> NDArray[np.bool_]:
        """Say of each person, shape (n_users,), whether they are judged and belong to a segment of ``SEGMENTS``."""
        shortest, longest = SEGMENTS[segment]
        return self.is_judged & (self.n_known >= shortest) & (self.n_known <= longest)

    def metrics(self) -> dict[str, float]:
        """Return the means over the judged people by name, NaN where nobody could be judged."""
        at_k = f"at_{self.top_k}"
        ranking = {f"{name}_{at_k}": _mean(self.by_person(values)) for name, values in self.per_user.items()}
        return ranking | {
            f"coverage_{at_k}": self.coverage,
            f"novelty_{at_k}_bits": _mean(self.by_person(self.novelty_bits)),
            "rmse": self.rmse,
            "mae": self.mae,
        }

    def ndcg_interval(self) -> dict[str, float]:
        """Return the ends of the 95 % interval of the mean nDCG, by its standard error over the judged people.

        For the many rows of a table: nothing is resampled. NaN with fewer than two people.
        """
        values = self.by_person(self.ndcg)
        if len(values) < 2:  # noqa: PLR2004 - one person has no spread
            return {"low": float("nan"), "high": float("nan")}
        mean, reach = float(values.mean()), NORMAL_95 * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
        return {"low": mean - reach, "high": mean + reach}

    def ndcg_by_segment(self) -> dict[str, float]:
        """Return the primary metric by length of history."""
        inside = {segment: np.where(self.in_segment(segment), self.ndcg, np.nan) for segment in SEGMENTS}
        return {segment: _mean(self.by_person(values)) for segment, values in inside.items()}

    def users_by_segment(self) -> dict[str, int]:
        """Return the number of judged people by length of history."""
        return {segment: self._n_people(self.in_segment(segment)) for segment in SEGMENTS}

    def _n_people(self, rows: NDArray[np.bool_]) -> int:
        """Return how many different people some rows, shape (n_users,), belong to."""
        return len(np.unique(self.user_ids[rows]))


def pooled(judgements: Sequence[Judgement]) -> Judgement:
    """Return the judgements of one recipe in several windows, oldest first, as one.

    Coverage is over the films that the newest model knows, so that it compares models of the same windows alone.
    """
    newest = judgements[-1]
    if len(judgements) == 1:
        return newest
    joined: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in judgements]) for name in BY_USER}
    per_user = {name: np.concatenate([one.per_user[name] for one in judgements]) for name in newest.per_user}
    return replace(newest, per_user=per_user, **joined)


@dataclass(frozen=True, slots=True)
class _Errors:
    """One person's rating errors, summed."""

    squared: float = 0.0
    absolute: float = 0.0
    n_predicted: int = 0


def judge(fitted: FittedModel, window: JudgedWindow, top_k: int) -> Judgement:
    """Return how the model does for every person of the window, answered as they would be served.

    Lists are ranked over every film the model knows, without those the person is known to have rated. A liked film
    that the model does not know counts as missed; rating errors are over the held-out films it does know.
    """
    known = [History.of(window.known_of(row), fitted.movie_ids) for row in range(len(window))]
    held_out = [History.of(window.held_out_of(row), fitted.movie_ids) for row in range(len(window))]
    listed = lists_of(fitted, known, top_k)
    recommended = np.where(listed == NO_MOVIE, NO_FILM, fitted.movie_ids[listed])
    errors = [_errors_of(fitted, *of_person) for of_person in zip(known, held_out, strict=True)]
    hits, n_relevant = _hits(recommended, window)
    return Judgement(
        recipe=fitted.recipe,
        top_k=top_k,
        scale=window.scale,
        n_movies=len(fitted.movie_ids),
        user_ids=window.user_ids,
        n_known=window.n_known,
        recommended=recommended,
        per_user={name: metric(hits, n_relevant) for name, metric in RANKING_METRICS.items()},
        novelty_bits=metrics.novelty(_rater_shares(recommended, window)),
        squared_errors=np.array([error.squared for error in errors], np.float64),
        absolute_errors=np.array([error.absolute for error in errors], np.float64),
        n_predicted=np.array([error.n_predicted for error in errors], np.int64),
    )


def list_of(answered: Answer, top_k: int) -> NDArray[np.int32]:
    """Return the positions of the films that the person is shown, best first, without those they have rated."""
    return rank_movies(answered.scores, answered.history.movie_indices, top_k)


def list_overlap(one: Judgement, other: Judgement) -> float:
    """Return the mean share of films that two models' lists have in common, 0 to 1; NaN for no people.

    Both must come from the same window.
    """
    shared = [
        len(np.intersect1d(ours[ours >= 0], theirs[theirs >= 0])) / max(int(np.count_nonzero(ours >= 0)), 1)
        for ours, theirs in zip(one.recommended, other.recommended, strict=True)
    ]
    return _mean(np.array(shared))


def _errors_of(fitted: FittedModel, history: History, held_out: History) -> _Errors:
    """Return one person's errors on the held-out films that the model knows."""
    recommender = fitted.recommender
    if not isinstance(recommender, PredictsStars) or not len(held_out):
        return _Errors()
    predicted = recommender.predict_stars(history, held_out.movie_indices)
    error = predicted.astype(np.float64) - held_out.ratings
    return _Errors(float(error @ error), float(np.abs(error).sum()), len(error))


def _hits(recommended: NDArray[np.int64], window: JudgedWindow) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which places of the lists, shape (n_users, k), hold a liked film, and how many films each liked."""
    rows = np.repeat(np.arange(len(window)), np.diff(window.held_out_starts))
    is_relevant = window.held_out.ratings >= window.scale.relevance_threshold
    liked_ids, liked_indices = np.unique(window.held_out.movie_ids[is_relevant], return_inverse=True)
    width = max(len(liked_ids), 1)
    positions = np.minimum(np.searchsorted(liked_ids, recommended), width - 1)
    is_liked_by_anyone = (
        liked_ids[positions] == recommended if len(liked_ids) else np.zeros(recommended.shape, np.bool_)
    )
    listed = np.arange(len(window))[:, None] * width + positions
    hits = is_liked_by_anyone & np.isin(listed, rows[is_relevant] * width + liked_indices)
    return hits, np.bincount(rows[is_relevant], minlength=len(window))


def _rater_shares(recommended: NDArray[np.int64], window: JudgedWindow) -> NDArray[np.float64]:
    """Return the share of learning users who rated each listed film, NaN at empty places."""
    if not len(window.movie_ids):
        return np.full(recommended.shape, np.nan)
    positions = np.minimum(np.searchsorted(window.movie_ids, recommended), len(window.movie_ids) - 1)
    is_known = window.movie_ids[positions] == recommended
    return np.where(is_known, window.rater_shares[positions], np.nan)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def _mean_of_sums(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the mean over everything that was summed, NaN of nothing."""
    n_summed = int(counts.sum())
    return float(sums.sum()) / n_summed if n_summed else float("nan")
