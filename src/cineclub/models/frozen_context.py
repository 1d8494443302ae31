"""The context that is frozen with a model: the crowd's counts at the end of the ratings it was fitted on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.crowd import (
    GRANULE_MICROSECONDS,
    HALF_LIVES_DAYS,
    CountedLikes,
    CrowdCounts,
    burst_weights,
)
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.context import Context
from cineclub.models.stored import stored


def frozen_context_of(ratings: RatingMatrix) -> Context:
    """Return the context of the grid line after the newest like of a matrix, without likes of a wrong clock."""
    users = ratings.user_ids[ratings.user_indices]
    weights = burst_weights(users, ratings.rated_at)
    movie_ids = ratings.movie_ids[ratings.movie_indices]
    likes = CountedLikes.of_columns(movie_ids, ratings.ratings, ratings.rated_at, weights, ratings.scale)
    crowd = CrowdCounts.of(likes, likes.plausible_end() + GRANULE_MICROSECONDS)
    return Context.of(crowd, ratings.movie_ids)


def frozen_arrays(context: Context) -> dict[str, NDArray[np.generic]]:
    """Return a context as arrays of an artifact."""
    return {"crowd_counts": context.counts, "crowd_moment": np.array([context.moment], np.int64)}


def context_of_arrays(arrays: Mapping[str, NDArray[np.generic]], n_movies: int) -> Context:
    """Return the context of the arrays of an artifact.

    Raises:
        BrokenArtifact: an array is missing or does not fit the vocabulary.
    """
    counts = stored(arrays, "crowd_counts", np.float32, (len(HALF_LIVES_DAYS), n_movies))
    moment = int(stored(arrays, "crowd_moment", np.int64, (1,))[0])
    return Context(moment, counts)
