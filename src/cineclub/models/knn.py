"""KNN: films that the people who like one film like too (item-based collaborative filtering).

Lists sum similarities to liked films (Deshpande & Karypis 2004); stars move from a baseline by the neighbours'
residuals (Koren 2010). Either has neighbours of its own: what is liked together ranks best, and what is rated above and
below expectation together predicts stars best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommender import History, Progress, Reading
from cineclub.models.baseline import Baseline
from cineclub.models.hyperparameters import Hyperparameters, half_life, one_of, within
from cineclub.models.neighbours import NeighbourLists, NeighbourTable
from cineclub.models.stored import one_value, stored

MOVIE_DAMPING, USER_DAMPING = 3.0, 5.0
"""Pseudo-ratings of each film and each person in the baseline, chosen for the least rating error."""

STARS_DAMPING = np.float32(0.1)
"""How much similarity it takes to believe the neighbours half as much as the baseline."""

AMPLIFICATION = np.float32(1.5)
"""Similarities are raised to this power before they weigh residuals, so that near films count more (Breese 1998)."""

TIE_BREAK = 0.001
"""How much a film's likes count beside similarities: enough to order films that have no neighbour in a history."""

LIST_SHARE = 0.25
"""About how much of a fit the neighbours for lists take: a quarter of the pairs of ratings are pairs of likes."""


@dataclass(frozen=True, slots=True)
class KnnHyperparameters(Hyperparameters):
    """How many neighbours a film has, and how many people in common it takes to believe half of a similarity.

    The similarity is what lists follow: the cosine of likes, or the correlation of residuals that stars always follow.
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
    """A film's score is its similarity to the liked films among its nearest.

    Attributes:
        of_lists: to which films each film is a neighbour, for lists.
        of_stars: each film's neighbours whose residuals predict its own, their similarities amplified.
        tie_break: (n_movies,) what a film scores without any neighbour: next to nothing, more if more people like it.
        liked_from: (1,) the rating from which a film counts as liked.
        history_half_life: (1,) after how many newer ratings one counts half; 0: all count alike.
        baseline: what stars are predicted without neighbours.
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
        cls,
        ratings: RatingMatrix,
        hyperparameters: KnnHyperparameters,
        _rng: np.random.Generator,
        progress: Progress,
    ) -> Self:
        """Return the nearest neighbours of every film of the matrix."""
        from cineclub.models.kernels.knn import FilmVectors, nearest_neighbours

        chosen, liked_from = hyperparameters, np.float32(ratings.scale.relevance_threshold)
        is_liked = ratings.ratings >= liked_from
        baseline = Baseline.fit(ratings, MOVIE_DAMPING, USER_DAMPING)
        likes = FilmVectors.of(ratings, np.ones(ratings.n_ratings, np.float32), is_liked)
        residuals = FilmVectors.of(ratings, baseline.all_residuals(ratings), np.ones(ratings.n_ratings, np.bool_))
        listed = likes if chosen.similarity == "cosine" else residuals
        of_lists = nearest_neighbours(
            listed, chosen.n_neighbours, chosen.shrinkage, lambda fraction: progress(LIST_SHARE * fraction)
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
        """Return about how much memory a fit takes: likes and residuals both ways, and the neighbours twice."""
        n_neighbours = hyperparameters.n_neighbours + hyperparameters.n_star_neighbours
        return 64 * extent.n_ratings + 16 * min(n_neighbours, 2 * extent.n_movies) * extent.n_movies

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the summed similarity to liked films, shape (n_movies,)."""
        return self.read(history).scores

    def scores_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return what ``scores`` returns for each history, summed in compiled code, shape (n_histories, n_movies)."""
        from cineclub.models.kernels.knn import add_votes

        scores = np.tile(self.tie_break, (len(histories), 1))
        used = [self.uses(history) for history in histories]
        counts = [int(np.count_nonzero(of_one)) for of_one in used]
        pairs = list(zip(histories, used, strict=True))
        none = History.of(UserRatings.none(), np.empty(0, np.int64))
        movies = [none.movie_indices] + [history.movie_indices[of_one] for history, of_one in pairs]
        weights = [none.ratings] + [self._weights(history)[of_one] for history, of_one in pairs]
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        lists = (self.of_lists.starts, self.of_lists.targets, self.of_lists.similarities)
        add_votes(lists, starts, np.concatenate(movies), np.concatenate(weights), scores)
        return scores

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each film asked for, shape (m,), clipped to the scale.

        That is the baseline plus the mean residual of the rated neighbours, weighted by similarity and damped.
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
        """Say which ratings, shape (n,), are likes of films that are somebody's neighbours."""
        return (history.ratings >= self.liked_from) & self.of_lists.has_any(history.movie_indices)

    def read(self, history: History) -> Reading:
        """Return the scores and, for reasons, the similarity of each liked film; zero where it is no neighbour."""
        used, weights = self.uses(history), self._weights(history)
        counted = np.where(used, weights, np.float32(0))

        def explain(movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
            moved = np.zeros((len(movie_indices), len(history)), np.float32)
            for row, movie_index in zip(moved, movie_indices.tolist(), strict=True):
                row[:] = self.of_lists.votes_for(movie_index, history.movie_indices) * counted
            return moved

        scores = self.tie_break + self.of_lists.votes(history.movie_indices[used], weights[used])
        return Reading(scores, used, explain)

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
        """Return how much each rating of a history counts, shape (n,)."""
        return history.recency_weights(float(self.history_half_life[0]))
