"""KNN: films that the people who like one film like too (item-based collaborative filtering)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.filtering import Extent
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.recommender import History, Progress
from cineclub.models.baseline import Baseline
from cineclub.models.hyperparameters import Hyperparameters, within
from cineclub.models.stored import one_value, stored

DAMPING = 5.0
"""Pseudo-ratings of each film and person in the baseline, chosen for the least rating error."""

STARS_DAMPING = np.float32(0.5)
"""How much similarity it takes to believe the neighbours half as much as the baseline."""

TIE_BREAK = 0.001
"""How much a film's likes count beside similarities: enough to order films that have no neighbour in a history."""


@dataclass(frozen=True, slots=True)
class KnnHyperparameters(Hyperparameters):
    """How many neighbours a film has, and how many common likers it takes to believe half of a similarity.

    Chosen on MovieLens ml-latest-small: cosines of likes rank better there than correlations of ratings, and predict
    stars as well.
    """

    n_neighbours: int = within(100, 1, 10_000)
    shrinkage: float = within(25.0, 0.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Knn:
    """A film's score is its similarity to the liked films among its nearest; stars follow all rated neighbours.

    Attributes:
        neighbour_starts: (n_movies + 1,) where the films begin to which a film is a neighbour.
        neighbour_targets: (n_pairs,) those films.
        similarities: (n_pairs,) above 0, at most 1.
        tie_break: (n_movies,) what a film scores without any neighbour: next to nothing, more if more people like it.
        liked_from: (1,) the rating from which a film counts as liked.
        baseline: what stars are predicted without neighbours.
    """

    name: ClassVar[str] = "knn"
    is_personal: ClassVar[bool] = True

    neighbour_starts: NDArray[np.int64]
    neighbour_targets: NDArray[np.int32]
    similarities: NDArray[np.float32]
    tie_break: NDArray[np.float32]
    liked_from: NDArray[np.float32]
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
        from cineclub.models.kernels.knn import Likes, nearest_neighbours

        liked_from = np.float32(ratings.scale.relevance_threshold)
        likes = Likes.of(ratings, liked_from)
        neighbours = nearest_neighbours(likes, hyperparameters.n_neighbours, hyperparameters.shrinkage, progress)
        n_likers = likes.n_likers
        return cls(
            neighbour_starts=neighbours.starts,
            neighbour_targets=neighbours.targets,
            similarities=neighbours.similarities,
            tie_break=(TIE_BREAK * n_likers / max(int(n_likers.max()), 1)).astype(np.float32),
            liked_from=one_value(float(liked_from)),
            baseline=Baseline.fit(ratings, DAMPING, DAMPING),
        )

    @classmethod
    def needed_bytes(cls, hyperparameters: KnnHyperparameters, extent: Extent) -> int:
        """Return about how much memory a fit takes: the likes both ways, and the neighbours twice."""
        return 40 * extent.n_ratings + 40 * hyperparameters.n_neighbours * extent.n_movies

    def scores(self, history: History) -> NDArray[np.float32]:
        """Return the summed similarity to liked films, shape (n_movies,)."""
        liked = history.movie_indices[self.uses(history)]
        pairs, _ = self._pairs_of(liked)
        return self.tie_break + self._summed(pairs, self.similarities[pairs])

    def predict_stars(self, history: History, movie_indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the expected rating of each film asked for, shape (m,), clipped to the scale.

        That is the baseline plus the mean residual of the rated neighbours, weighted by similarity and damped.
        """
        pairs, raters = self._pairs_of(history.movie_indices)
        similarities = self.similarities[pairs]
        pull = self._summed(pairs, similarities * self.baseline.residuals(history)[raters])
        weight = self._summed(pairs, similarities) + STARS_DAMPING
        expected = self.baseline.expected(history, movie_indices)
        return self.baseline.on_scale(expected + pull[movie_indices] / weight[movie_indices])

    def uses(self, history: History) -> NDArray[np.bool_]:
        """Say which ratings, shape (n,), are likes of films that are somebody's neighbours."""
        n_targets = self.neighbour_starts[history.movie_indices + 1] - self.neighbour_starts[history.movie_indices]
        return (history.ratings >= self.liked_from) & (n_targets > 0)

    def explain(self, history: History, movie_index: int) -> NDArray[np.float32]:
        """Return the similarity of each liked film to one film, shape (n,); zero where it is no neighbour."""
        pairs, raters = self._pairs_of(history.movie_indices)
        to_movie = self.neighbour_targets[pairs] == movie_index
        similarities = np.zeros(len(history), np.float32)
        similarities[raters[to_movie]] = self.similarities[pairs[to_movie]]
        return np.where(self.uses(history), similarities, np.float32(0))

    def arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Return the neighbours and the baseline."""
        return {
            "neighbour_starts": self.neighbour_starts,
            "neighbour_targets": self.neighbour_targets,
            "similarities": self.similarities,
            "tie_break": self.tie_break,
            "liked_from": self.liked_from,
            **self.baseline.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the model of its arrays."""
        baseline = Baseline.from_arrays(arrays)
        n_movies = len(baseline.movie_offsets)
        similarities = stored(arrays, "similarities", np.float32, (None,))
        model = cls(
            neighbour_starts=stored(arrays, "neighbour_starts", np.int64, (n_movies + 1,)),
            neighbour_targets=stored(arrays, "neighbour_targets", np.int32, (len(similarities),)),
            similarities=similarities,
            tie_break=stored(arrays, "tie_break", np.float32, (n_movies,)),
            liked_from=stored(arrays, "liked_from", np.float32, (1,)),
            baseline=baseline,
        )
        if not model._points_inside():
            message = "the model's neighbours name films that it does not hold: train again or roll back"
            raise BrokenArtifact(message)
        return model

    def _points_inside(self) -> bool:
        """Say whether every row and every target exists."""
        starts, targets = self.neighbour_starts, self.neighbour_targets
        is_covering = starts[0] == 0 and starts[-1] == len(targets) and bool((np.diff(starts) >= 0).all())
        return is_covering and (not len(targets) or bool(targets.min() >= 0 and targets.max() < len(self.tie_break)))

    def _pairs_of(self, movie_indices: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of all pairs of some films, shape (m,), and for each which of the films it is of."""
        first = self.neighbour_starts[movie_indices]
        n_targets = self.neighbour_starts[movie_indices + 1] - first
        owners = np.repeat(np.arange(len(movie_indices)), n_targets)
        before = np.cumsum(n_targets) - n_targets
        return np.arange(len(owners)) + (first - before)[owners], owners

    def _summed(self, pairs: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sum of the pairs' values by target, shape (n_movies,)."""
        return np.bincount(self.neighbour_targets[pairs], values, minlength=len(self.tie_break)).astype(np.float32)
