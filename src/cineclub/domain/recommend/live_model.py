"""A fitted model with the movies of its vocabulary, ready to recommend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.log import Movie
from cineclub.domain.ratings.vocabulary import Vocabulary
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import FittedModel, FollowsContext, PredictsStars
from cineclub.domain.recommend.trends import Trend, fresh_trend


class LatestContext:
    """The context of the crowd's newest counts in the order of one vocabulary, made once for all requests."""

    def __init__(self, movie_ids: NDArray[np.int64]) -> None:
        """Start without counts."""
        self._movie_ids = movie_ids
        self._latest: tuple[CrowdCounts, Context] | None = None

    def of(self, crowd: CrowdCounts) -> Context:
        """Return the context of some counts."""
        latest = self._latest
        if latest is None or latest[0] is not crowd:
            self._latest = latest = crowd, Context.of(crowd, self._movie_ids)
        return latest[1]


class LatestTrend:
    """The trend of fresh lists by the crowd's newest counts in the order of one vocabulary, made once for all."""

    def __init__(self, fitted: FittedModel) -> None:
        """Start without counts."""
        self._movie_ids, self._popularity = fitted.movie_ids, fitted.popularity
        self._latest: tuple[CrowdCounts | None, Trend] = None, Trend.unknown(self._popularity)

    def of(self, crowd: CrowdCounts | None) -> Trend:
        """Return the trend of these counts; that of the popularity without counts."""
        latest = self._latest
        if latest[0] is not crowd:
            self._latest = latest = crowd, fresh_trend(crowd, self._movie_ids, self._popularity)
        return latest[1]


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model in memory.

    Attributes:
        version: its number in the registry.
        fitted: the model.
        movies: its movies, in the order of the vocabulary.
        vocabulary: index of the movies.
        stars: the model if it predicts ratings, else None.
        latest_trend: the trend made last.
        latest_context: the context made last; None if the model follows none.
    """

    version: int
    fitted: FittedModel
    movies: Sequence[Movie]
    vocabulary: Vocabulary
    stars: PredictsStars | None
    latest_trend: LatestTrend = field(compare=False)
    latest_context: LatestContext | None = field(default=None, compare=False)

    @classmethod
    def of(cls, version: int, fitted: FittedModel, movies: Mapping[int, Movie]) -> "LiveModel":
        """Return a model with its movies, given by internal id, indexed; takes a moment with many movies."""
        in_order = tuple(movies[movie_id] for movie_id in fitted.movie_ids.tolist())
        stars = fitted.recommender if isinstance(fitted.recommender, PredictsStars) else None
        follows = isinstance(fitted.recommender, FollowsContext) and fitted.recommender.follows_context
        latest_context = LatestContext(fitted.movie_ids) if follows else None
        return cls(version, fitted, in_order, Vocabulary.of(in_order), stars, LatestTrend(fitted), latest_context)

    def context_in(self, crowd: CrowdCounts | None) -> Context | None:
        """Return the context of the crowd's counts; None for the one frozen with the model, or if it follows none."""
        return None if crowd is None or self.latest_context is None else self.latest_context.of(crowd)
