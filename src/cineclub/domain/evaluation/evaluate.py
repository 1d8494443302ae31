"""Evaluation of a fitted model on a window of users, by the code that serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation import metrics
from cineclub.domain.evaluation.prequential import PrequentialWindow, Window
from cineclub.domain.evaluation.significance import Rows, clustered_mean
from cineclub.domain.ratings.crowd import positions_in
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.recommend.batch_ranking import NO_MOVIE, lists_of
from cineclub.domain.recommend.cold_start import MovieScores
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, History, PredictsStars

CONFIDENCE_OF_TABLES = 0.95
NORMAL_95 = 1.959964
"""Standard errors from the middle to either end of a 95 % interval."""

WITHOUT_HISTORY = "0"
SEGMENTS: Mapping[str, tuple[float, float]] = {
    WITHOUT_HISTORY: (0, 0),
    "1-4": (1, 4),
    "5-19": (5, 19),
    "20+": (20, np.inf),
}
"""Segments of users by the number of their known ratings, both ends included."""

BY_ROW = (
    "user_ids",
    "n_known",
    "recommended",
    "novelty_bits",
    "squared_errors",
    "absolute_errors",
    "n_predicted",
    "movie_ids",
    "days",
)
"""The arrays of an evaluation that have a row for each user, or in a prequential one for each judged rating."""

RANKING_METRICS = {
    "ndcg": metrics.ndcg_at_k,
    "recall": metrics.recall_at_k,
    "precision": metrics.precision_at_k,
    "map": metrics.average_precision_at_k,
    "hit_rate": metrics.hit,
}


def _no_rows() -> NDArray[np.int64]:
    """Return an array without rows."""
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of one model for every row of a window; two evaluations of one window have the same rows.

    A row is a user, or a judged rating of a prequential window. If several windows are pooled, a user has rows in
    each. Means count every user once, with the mean over their rows.

    Attributes:
        recipe: the recipe of the model.
        top_k: the length of the lists.
        scale: the scale of the ratings.
        n_movies: the number of movies in the model's vocabulary.
        user_ids: (n_rows,) rising within a window; in a prequential one in the order of time, with repetitions.
        n_known: (n_users,) the number of known ratings.
        recommended: (n_users, top_k) movie ids, best first; -1 at the end of a shorter list.
        per_user: metric name to (n_users,), NaN for users who like no held-out movie.
        novelty_bits: (n_users,) mean self-information of each list.
        squared_errors: (n_users,) summed over each user's held-out ratings; zero if the model predicts no stars.
        absolute_errors: (n_users,) likewise.
        n_predicted: (n_users,) held-out ratings of movies in the vocabulary; zero if the model predicts no stars.
        movie_ids: (n_rows,) the judged movie of each row of a prequential window; empty for other windows.
        days: (n_rows,) the UTC day of each judged rating, in days since 1970-01-01; empty likewise.
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
    movie_ids: NDArray[np.int64] = field(default_factory=_no_rows)
    days: NDArray[np.int64] = field(default_factory=_no_rows)

    @property
    def ndcg(self) -> NDArray[np.float64]:
        """The primary metric of each user, shape (n_users,)."""
        return self.per_user["ndcg"]

    @property
    def rows(self) -> Rows:
        """The user, movie and day of each row."""
        return Rows(self.user_ids, self.movie_ids, self.days)

    @property
    def is_evaluated(self) -> NDArray[np.bool_]:
        """Whether each user, shape (n_users,), likes a held-out movie, so that the ranking metrics exist."""
        return ~np.isnan(self.ndcg)

    @property
    def n_evaluated_users(self) -> int:
        """The number of different users with ranking metrics."""
        return self._n_people(self.is_evaluated)

    @property
    def n_judged_likes(self) -> int | None:
        """The number of ranked likes of a prequential window; None for another, whose rows are users."""
        return int(np.count_nonzero(self.is_evaluated)) if len(self.movie_ids) else None

    def by_person(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each person's mean over their windows, shape (n_people,), of values (n_users,), without NaN."""
        is_known = ~np.isnan(values)
        _, people = np.unique(self.user_ids[is_known], return_inverse=True)
        return np.asarray(np.bincount(people, weights=values[is_known]) / np.bincount(people), np.float64)

    @property
    def predicts_stars(self) -> bool:
        """Whether there are rating errors."""
        return bool(self.n_predicted.any())

    @property
    def coverage(self) -> float:
        """The share of the model's movies that are on any list."""
        return metrics.coverage(self.recommended, self.n_movies)

    @property
    def n_recommended(self) -> int:
        """The number of different movies on all lists."""
        return len(np.unique(self.recommended[self.recommended != NO_MOVIE]))

    @property
    def rmse(self) -> float:
        """The root mean squared error over all predicted held-out ratings; NaN without any."""
        return float(np.sqrt(_mean_of_sums(self.squared_errors, self.n_predicted)))

    @property
    def mae(self) -> float:
        """The mean absolute error over all predicted held-out ratings; NaN without any."""
        return _mean_of_sums(self.absolute_errors, self.n_predicted)

    def in_segment(self, segment: str) -> NDArray[np.bool_]:
        """Return whether each user, shape (n_users,), is evaluated and belongs to a segment of ``SEGMENTS``."""
        shortest, longest = SEGMENTS[segment]
        return self.is_evaluated & (self.n_known >= shortest) & (self.n_known <= longest)

    def metrics(self) -> dict[str, float]:
        """Return the means over the evaluated users by name, NaN if there are none."""
        at_k = f"at_{self.top_k}"
        ranking = {f"{name}_{at_k}": _mean(self.by_person(values)) for name, values in self.per_user.items()}
        return ranking | {
            f"ndcg_of_likes_{at_k}": _mean(self.ndcg[self.is_evaluated]),
            f"coverage_{at_k}": self.coverage,
            f"novelty_{at_k}_bits": _mean(self.by_person(self.novelty_bits)),
            "rmse": self.rmse,
            "mae": self.mae,
        }

    def ndcg_interval(self) -> dict[str, float]:
        """Return the ends of the 95 % interval of the mean nDCG, by its standard error over the evaluated users.

        It needs no resamples, because a table has many rows. NaN with fewer than two users. That of a prequential
        window is the widest by user, movie and day; NaN with one day, or one movie.
        """
        if len(self.days):
            interval = clustered_mean(self.ndcg, self.rows).interval(CONFIDENCE_OF_TABLES)
            is_known = np.isfinite(interval.low)
            return {"low": interval.low if is_known else np.nan, "high": interval.high if is_known else np.nan}
        values = self.by_person(self.ndcg)
        if len(values) < 2:  # noqa: PLR2004 - one user has no spread
            return {"low": float("nan"), "high": float("nan")}
        mean, reach = float(values.mean()), NORMAL_95 * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
        return {"low": mean - reach, "high": mean + reach}

    def ndcg_by_segment(self) -> dict[str, float]:
        """Return the primary metric by length of history."""
        inside = {segment: np.where(self.in_segment(segment), self.ndcg, np.nan) for segment in SEGMENTS}
        return {segment: _mean(self.by_person(values)) for segment, values in inside.items()}

    def users_by_segment(self) -> dict[str, int]:
        """Return the number of evaluated users by length of history."""
        return {segment: self._n_people(self.in_segment(segment)) for segment in SEGMENTS}

    def _n_people(self, rows: NDArray[np.bool_]) -> int:
        """Return the number of different users of a mask of rows, shape (n_users,)."""
        return len(np.unique(self.user_ids[rows]))


def pooled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the evaluations of one recipe in several windows, oldest first, as one.

    Coverage is over the vocabulary of the newest model, so that it compares models of the same windows only.
    """
    newest = evaluations[-1]
    if len(evaluations) == 1:
        return newest
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(evaluation, name) for evaluation in evaluations]) for name in BY_ROW
    }
    per_user = {
        name: np.concatenate([evaluation.per_user[name] for evaluation in evaluations]) for name in newest.per_user
    }
    return replace(newest, per_user=per_user, **joined)


@dataclass(frozen=True, slots=True)
class _Errors:
    """The rating errors of each row, shape (n_rows,), summed over its held-out movies in the vocabulary."""

    squared: NDArray[np.float64]
    absolute: NDArray[np.float64]
    n_predicted: NDArray[np.int64]


def evaluate(fitted: FittedModel, window: Window, top_k: int, *, hides_unrated: bool = True) -> Evaluation:
    """Return the evaluation of a model on every row of a window, with the lists that it would serve.

    Lists are ranked over the whole vocabulary, without the movies that the user is known to have rated and, in a
    prequential window unless ``hides_unrated`` is off, without those that nobody has rated yet. A liked movie outside
    the vocabulary counts as missed; rating errors are over the held-out movies in it.
    """
    known = histories_of(*window.known_parts, fitted.movie_ids)
    recommended = _recommended(fitted, window, known, top_k, hides_unrated=hides_unrated)
    errors = _errors_of(fitted, window, known)
    hits, n_relevant = _hits(recommended, window)
    return Evaluation(
        recipe=fitted.recipe,
        top_k=top_k,
        scale=window.scale,
        n_movies=len(fitted.movie_ids),
        user_ids=window.user_ids,
        n_known=window.n_known,
        recommended=recommended,
        per_user={name: metric(hits, n_relevant) for name, metric in RANKING_METRICS.items()},
        novelty_bits=metrics.novelty(_rater_shares(recommended, window)),
        squared_errors=errors.squared,
        absolute_errors=errors.absolute,
        n_predicted=errors.n_predicted,
        movie_ids=window.held_out.movie_ids if isinstance(window, PrequentialWindow) else _no_rows(),
        days=window.days if isinstance(window, PrequentialWindow) else _no_rows(),
    )


def _recommended(
    fitted: FittedModel, window: Window, known: Sequence[History], top_k: int, *, hides_unrated: bool
) -> NDArray[np.int64]:
    """Return the movies of each row's list, shape (n_rows, top_k); a prequential window needs those of likes alone."""
    recommended = np.full((len(window), top_k), NO_MOVIE, np.int64)
    if isinstance(window, PrequentialWindow):
        rows = np.flatnonzero(window.is_ranked)
        contexts = window.contexts_of(fitted.movie_ids, rows)
        hidden = window.unrated_at(fitted.movie_ids, rows) if hides_unrated else None
        lists = lists_of(fitted, [known[row] for row in rows.tolist()], top_k, contexts, hidden)
    else:
        rows, lists = np.arange(len(window)), lists_of(fitted, known, top_k)
    recommended[rows] = np.where(lists == NO_MOVIE, NO_MOVIE, fitted.movie_ids[lists])
    return recommended


def list_of(scored: MovieScores, top_k: int) -> NDArray[np.int32]:
    """Return the positions of the movies on a user's list, best first, without those they have rated."""
    return rank_movies(scored.scores, scored.history.movie_indices, top_k)


def list_overlap(first: Evaluation, second: Evaluation) -> float:
    """Return the mean share of movies that the lists of two evaluations of one window share, 0 to 1; NaN for no lists.

    The share is of the first one's lists; rows without a list, such as ratings that are no likes, do not count.
    """
    shared = [
        len(np.intersect1d(ours[ours >= 0], theirs[theirs >= 0])) / int(np.count_nonzero(ours >= 0))
        for ours, theirs in zip(first.recommended, second.recommended, strict=True)
        if (ours >= 0).any()
    ]
    return _mean(np.array(shared))


def histories_of(
    log: RatingLog, starts: NDArray[np.int64], ends: NDArray[np.int64], movie_ids: NDArray[np.int64]
) -> list[History]:
    """Return the parts of a log from ``starts`` up to, without, ``ends``, both (n,), as histories of a vocabulary."""
    positions, is_known = positions_in(movie_ids, log.movie_ids)
    n_before = np.concatenate(([0], np.cumsum(is_known)))
    movie_indices, ratings = positions[is_known].astype(np.int32), log.ratings[is_known]
    rated_at = log.rated_at[is_known]
    bounds = zip(n_before[starts].tolist(), n_before[ends].tolist(), strict=True)
    return [History(movie_indices[a:b], ratings[a:b], rated_at[a:b]) for a, b in bounds]


def _errors_of(fitted: FittedModel, window: Window, known: Sequence[History]) -> _Errors:
    """Return the errors of the predicted ratings; zero rows if the model predicts no stars."""
    errors = _Errors(np.zeros(len(window)), np.zeros(len(window)), np.zeros(len(window), np.int64))
    recommender, starts = fitted.recommender, window.held_out_starts
    if not isinstance(recommender, PredictsStars):
        return errors
    held_out = histories_of(window.held_out, starts[:-1], starts[1:], fitted.movie_ids)
    for row, rated in enumerate(held_out):
        if not len(rated):
            continue
        predicted = recommender.predict_stars(known[row], rated.movie_indices)
        error = predicted.astype(np.float64) - rated.ratings
        errors.squared[row], errors.absolute[row] = error @ error, np.abs(error).sum()
        errors.n_predicted[row] = len(error)
    return errors


def _hits(recommended: NDArray[np.int64], window: Window) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the places of the lists that hold a liked movie, a mask (n_users, k), and each user's number of likes."""
    rows = np.repeat(np.arange(len(window)), np.diff(window.held_out_starts))
    is_relevant = window.held_out.ratings >= window.scale.relevance_threshold
    liked_ids, liked_indices = np.unique(window.held_out.movie_ids[is_relevant], return_inverse=True)
    width = max(len(liked_ids), 1)
    positions = np.minimum(np.searchsorted(liked_ids, recommended), width - 1)
    is_liked_by_anyone = (
        liked_ids[positions] == recommended if len(liked_ids) else np.zeros(recommended.shape, np.bool_)
    )
    pairs = np.arange(len(window))[:, None] * width + positions
    hits = is_liked_by_anyone & np.isin(pairs, rows[is_relevant] * width + liked_indices)
    return hits, np.bincount(rows[is_relevant], minlength=len(window))


def _rater_shares(recommended: NDArray[np.int64], window: Window) -> NDArray[np.float64]:
    """Return the share of the fit's users who rated each movie of the lists, NaN at empty places.

    A movie that was first rated in the window counts as half a rater of the fit, as the rarest one has a whole one.
    """
    if not len(window.movie_ids):
        return np.full(recommended.shape, np.nan)
    positions = np.minimum(np.searchsorted(window.movie_ids, recommended), len(window.movie_ids) - 1)
    is_known = window.movie_ids[positions] == recommended
    of_new = np.where(recommended == NO_MOVIE, np.nan, window.rater_shares.min() / 2)
    return np.where(is_known, window.rater_shares[positions], of_new)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean, NaN without values."""
    return float(values.mean()) if len(values) else float("nan")


def _mean_of_sums(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the mean over all summed values, NaN without any."""
    n_summed = int(counts.sum())
    return float(sums.sum()) / n_summed if n_summed else float("nan")
