"""KNN: item-based collaborative filtering.

Lists sum similarities to liked movies (Deshpande & Karypis 2004); predicted stars are a baseline plus the residuals of
neighbours (Koren 2010). Each has its own neighbours: similarities of likes rank best, and similarities of residuals
predict stars best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.baseline import Baseline
from cineclub.models.hyperparameters import Hyperparameters, half_life, one_of, within
from cineclub.models.neighbours import NeighbourLists, NeighbourTable
from cineclub.models.stored import one_value, stored

MOVIE_DAMPING, USER_DAMPING = 3.0, 5.0
"""Pseudo-ratings of each movie and each user in the baseline, chosen for the least rating error."""

STARS_DAMPING = np.float32(0.1)
"""The total similarity at which the neighbours' residuals count half."""

AMPLIFICATION = np.float32(1.5)
"""Similarities are raised to this power before they weigh residuals, so that near movies count more (Breese 1998)."""

TIE_BREAK = 0.001
"""The score of the most liked movie without a neighbour in a history, to rank such movies by their likes."""

LIST_SHARE = 0.25
"""The share of the neighbours for lists in a fit: about a quarter of the pairs of ratings are pairs of likes."""


@dataclass(frozen=True, slots=True)
class KnnHyperparameters(Hyperparameters):
    """The numbers of neighbours, and the numbers of common users at which a similarity counts half (shrinkage).

    ``similarity`` is that of lists: the cosine of likes, or the correlation of residuals that stars always use.
    Chosen on inner splits of MovieLens ml-latest-small and MovieTweetings 100k.
    """

    similarity: str = one_of("cosine", "pearson")
    n_neighbours: int = within(100, 1, 10_000)
    shrinkage: float = within(25.0, 0.0, 10_000.0)
    n_star_neighbours: int = within(200, 1, 10_000)
    star_shrinkage: float = within(10.0, 0.0, 10_000.0)
    history_half_life: float = half_life()


@dataclass(frozen=True, slots=True)
class Knn:
    """A movie's score is its similarity to the liked movies among its nearest.

    Attributes:
        of_lists: the neighbours for lists, inverted.
        of_stars: the neighbours for predicted stars, their similarities amplified.
        tie_break: (n_movies,) the score of a movie without neighbours: close to 0, larger with more likes.
        liked_from: (1,) the rating from which a movie counts as liked.
        history_half_life: (1,) the number of newer ratings after which a rating counts half; 0: all count alike.
        baseline: the predicted stars without neighbours.
    """

    name: ClassVar[str] = "knn"
    is_personal: ClassVar[bool] = True

    of_lists: NeighbourLists
    of_stars: NeighbourTable
    tie_break: NDArray[np.float32]
    liked_from: NDArray[np.float32]
    history_half_life: NDArray[np.float32]
    baseline: Baseline

    @classmethod
    def fit(
        cls, ratings: RatingMatrix, hyperparameters: KnnHyperparameters, _rng: np.random.Generator, progress: Progress
    ) -> Self:
        """Return the nearest neighbours of every movie of the matrix."""
        from cineclub.models.kernels.nearest_neighbours import MovieVectors, nearest_neighbours

        chosen, liked_from = hyperparameters, np.float32(ratings.scale.relevance_threshold)
        is_liked = ratings.ratings >= liked_from
        baseline = Baseline.fit(ratings, MOVIE_DAMPING, USER_DAMPING)
        likes = MovieVectors.of(ratings, np.ones(ratings.n_ratings, np.float32), is_liked)
        residuals = MovieVectors.of(ratings, baseline.all_residuals(ratings), np.ones(ratings.n_ratings, np.bool_))
        for_lists = likes if chosen.similarity == "cosine" else residuals
        of_lists = nearest_neighbours(
            for_lists, chosen.n_neighbours, chosen.shrinkage, lambda fraction: progress(LIST_SHARE * fraction)
        )
        nearest, similarities = nearest_neighbours(
            residuals,
            chosen.n_star_neighbours,
            chosen.star_shrinkage,
            lambda fraction: progress(LIST_SHARE + (1 - LIST_SHARE) * fraction),
        )
        n_likers = np.diff(likes.movie_starts)
        return cls(
            of_lists=NeighbourLists.of(*of_lists),
            of_stars=NeighbourTable(nearest, similarities**AMPLIFICATION),
            tie_break=(TIE_BREAK * n_likers / max(int(n_likers.max()), 1)).astype(np.float32),
            liked_from=one_value(float(liked_from)),
            history_half_life=one_value(chosen.history_half_life),
            baseline=baseline,
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: KnnHyperparameters, extent: Extent) -> int:
        """Return the approximate memory of a fit in bytes: likes and residuals both ways, and the neighbours twice."""
        n_neighbours = hyperparameters.n_neighbours + hyperparameters.n_star_neighbours
        return 64 * extent.n_ratings + 16 * min(n_neighbours, 2 * extent.n_movies) * extent.n_movies

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the summed similarity to liked movies, shape (n_movies,)."""
        return self.predict(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the scores for each history, summed in compiled code, shape (n_histories, n_movies)."""
        from cineclub.models.kernels.nearest_neighbours import add_votes

        scores = np.tile(self.tie_break, (len(histories), 1))
        used = [self.uses(history) for history in histories]
        counts = [int(np.count_nonzero(is_used)) for is_used in used]
        pairs = list(zip(histories, used, strict=True))
        none = History.of(UserRatings.none(), np.empty(0, np.int64))
        movies = [none.movie_indices] + [history.movie_indices[is_used] for history, is_used in pairs]
        weights = [none.ratings] + [self._weights(history)[is_used] for history, is_used in pairs]
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        lists = (self.of_lists.starts, self.of_lists.targets, self.of_lists.similarities)
        add_votes(lists, starts, np.concatenate(movies), np.concatenate(weights), scores)
        return scores

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each movie, shape (m,), clipped to the scale.

        It is the baseline plus the mean residual of the rated neighbours, weighted by similarity and damped.
        """
        pulls = self.of_stars.pulls(
            movie_indices,
            history.movie_indices,
            self._weights(history),
            self.baseline.residuals(history),
            STARS_DAMPING,
        )
        return self.baseline.on_scale(self.baseline.expected(history, movie_indices) + pulls)

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Return the mask, shape (n,), of the likes of movies that are a neighbour of any movie."""
        return (history.ratings >= self.liked_from) & self.of_lists.has_any(history.movie_indices)

    def predict(self, history: History) -> Prediction:
        """Return the scores and, as reasons, the similarity of each liked movie; zero if it is not a neighbour."""
        used, weights = self.uses(history), self._weights(history)
        counted = np.where(used, weights, np.float32(0))

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            moved = np.zeros((len(movie_indices), len(history)), np.float32)
            for row, movie_index in zip(moved, movie_indices.tolist(), strict=True):
                row[:] = self.of_lists.votes_for(movie_index, history.movie_indices) * counted
            return moved

        scores = self.tie_break + self.of_lists.votes(history.movie_indices[used], weights[used])
        return Prediction(scores, used, explain)

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the neighbours and the baseline."""
        return {
            **self.of_lists.arrays(),
            **self.of_stars.arrays(),
            "tie_break": self.tie_break,
            "liked_from": self.liked_from,
            "history_half_life": self.history_half_life,
            **self.baseline.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        baseline = Baseline.from_arrays(arrays)
        n_movies = len(baseline.movie_offsets)
        return cls(
            of_lists=NeighbourLists.from_arrays(arrays, n_movies),
            of_stars=NeighbourTable.from_arrays(arrays, n_movies),
            tie_break=stored(arrays, "tie_break", np.float32, (n_movies,)),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            history_half_life=stored(arrays, "history_half_life", np.float32, (1,)),
            baseline=baseline,
        )

    def _weights(self, history: History) -> NDArray[np.float32]:
        """Return the weight of each rating of a history, shape (n,)."""
        return history.recency_weights(float(self.history_half_life[0]))
