"""The base models of the combination, fitted on the dense part of the ratings and asked by positions of all movies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.evaluation.plan import MANY_RATINGS
from cineclub.domain.ratings.filtering import keep_core
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recommender import History, Prediction, Progress
from cineclub.models.combination.features import BASES, OF_BASES, SHAPES, base_features
from cineclub.models.ials import Ials, IalsHyperparameters
from cineclub.models.slist import Slist, SlistHyperparameters
from cineclub.models.stored import PartOfArrays, stored

SHARE_OF_SLIST = 0.6
"""The part of the time of both fits that SLIST takes."""


@dataclass(frozen=True, slots=True)
class BaseModels:
    """SLIST and iALS; SLIST is left out of many ratings, and both where no part of the ratings is dense.

    Attributes:
        movies: (n,) rising positions in the vocabulary of the movies that both models know.
        place_of: (n_movies,) their inverse, -1 for the others.
        slist: None if it is left out.
        ials: None if there are no movies.
    """

    movies: NDArray[np.int32]
    place_of: NDArray[np.int32]
    slist: Slist | None
    ials: Ials | None

    @classmethod
    def fit(
        cls,
        log: RatingLog,
        movie_ids: NDArray[np.int64],
        min_ratings: int,
        rng: np.random.Generator,
        progress: Progress,
    ) -> "BaseModels":
        """Return the models of the users and movies with enough ratings, for a vocabulary (n_movies,) of all."""
        core, _ = keep_core(log, min_ratings, min_ratings)
        if not len(core):
            return cls.none(len(movie_ids))
        matrix = RatingMatrix.from_log(core)
        movies = np.searchsorted(movie_ids, matrix.movie_ids).astype(np.int32)
        is_small = len(log) <= MANY_RATINGS
        share = SHARE_OF_SLIST if is_small else 0.0
        slist = None
        if is_small:
            slist = Slist.fit(matrix, SlistHyperparameters(), rng, lambda fraction: progress(share * fraction))
        ials = Ials.fit(matrix, IalsHyperparameters(), rng, lambda fraction: progress(share + (1 - share) * fraction))
        return cls(movies, _places(movies, len(movie_ids)), slist, ials)

    @classmethod
    def none(cls, n_movies: int) -> "BaseModels":
        """Return no models, for a vocabulary of ``n_movies``."""
        return cls(np.empty(0, np.int32), np.full(n_movies, -1, np.int32), None, None)

    @property
    def first(self) -> int:
        """The place among ``BASES`` of the model whose scores are multiplied with persons' values."""
        return 0 if self.slist is not None else 1

    @property
    def known(self) -> Sequence[tuple[int, Slist | Ials]]:
        """The models with their places among ``BASES``."""
        return [(place, model) for place, model in enumerate((self.slist, self.ials)) if model is not None]

    def history_of(self, history: History) -> tuple[NDArray[np.bool_], History]:
        """Return the mask, shape (n,), of the ratings of known movies, and these ratings by the models' positions."""
        places = self.place_of[history.movie_indices]
        is_known = places >= 0
        return is_known, History(places[is_known], history.ratings[is_known], history.rated_at[is_known])

    def usable(self, history: History) -> History:
        """Return the history, or nothing of it where no model knows one of its movies: its user is new."""
        return history if (self.place_of[history.movie_indices] >= 0).any() else History.none()

    def predict(self, history: History) -> dict[int, Prediction]:
        """Return the predictions of the models for a history of the vocabulary, by their places among ``BASES``."""
        _, known = self.history_of(history)
        return {place: model.predict(known) for place, model in self.known} if len(known) else {}

    def features_of_many(self, histories: Sequence[History]) -> NDArray[np.float32]:
        """Return the features of each history and known movie, shape (n_histories, len(OF_BASES), n)."""
        features = np.zeros((len(histories), len(OF_BASES), len(self.movies)), np.float32)
        known = [self.history_of(history)[1] for history in histories]
        for place, model in self.known:
            for row, scores in enumerate(model.scores_of_many(known)):
                if len(known[row]):
                    features[row, len(SHAPES) * place : len(SHAPES) * (place + 1)] = base_features(scores)
        return features

    def features_at(self, features: NDArray[np.float32], movies: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of movies of the vocabulary, (m,), from those of the known ones, (len(OF_BASES), n)."""
        places = self.place_of[movies]
        wanted = np.zeros((len(OF_BASES), len(movies)), np.float32)
        wanted[:, places >= 0] = features[:, places[places >= 0]]
        return wanted

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of both models, prefixed with their names, and which there are."""
        named = {"base_movies": self.movies, "has_base": np.array([self.slist is not None, self.ials is not None])}
        for place, model in self.known:
            named |= {f"{BASES[place]}_{name}": array for name, array in model.arrays().items()}
        return named

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_movies: int) -> "BaseModels":
        """Return the models of arrays.

        Raises:
            BrokenArtifact: an array is missing or does not fit the vocabulary of ``n_movies``.
        """
        movies = stored(arrays, "base_movies", np.int32, (None,))
        has_base = stored(arrays, "has_base", np.bool_, (len(BASES),))
        slist = Slist.from_arrays(PartOfArrays(arrays, "slist_")) if has_base[0] else None
        ials = Ials.from_arrays(PartOfArrays(arrays, "ials_")) if has_base[1] else None
        lengths = {len(movies)}
        lengths |= {len(slist.weights.has_weights)} if slist is not None else set()
        lengths |= {len(ials.movie_vectors)} if ials is not None else set()
        is_inside = not len(movies) or (movies[0] >= 0 and movies[-1] < n_movies and bool((np.diff(movies) > 0).all()))
        if len(lengths) > 1 or not is_inside:
            message = "the arrays of the base models are of other films than base_movies: train again or roll back"
            raise BrokenArtifact(message)
        return cls(movies, _places(movies, n_movies), slist, ials)


def _places(movies: NDArray[np.int32], n_movies: int) -> NDArray[np.int32]:
    """Return the place of each movie of a vocabulary among ``movies``, shape (n_movies,); -1 for the others."""
    places = np.full(n_movies, -1, np.int32)
    places[movies] = np.arange(len(movies), dtype=np.int32)
    return places
