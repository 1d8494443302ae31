"""Single ratings that were written or deleted, and a history with such changes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cineclub.domain.ratings.log import UserRatings


@dataclass(frozen=True, slots=True)
class RatingChange:
    """A committed rating of a user, or the deletion of one (``rating`` is None).

    Attributes:
        user_id: the external id.
        movie_id: the internal id.
        rating: on the scale of the catalogue.
        rated_at: microseconds since 1970-01-01 UTC.
    """

    user_id: str
    movie_id: int
    rating: float | None
    rated_at: int = 0


def with_changes(user_ratings: UserRatings, changes: Iterable[RatingChange]) -> UserRatings:
    """Return a history in canonical order after changes of its user, at most one for each movie."""
    by_movie = {change.movie_id: change for change in changes}
    if not by_movie:
        return user_ratings
    stays = ~np.isin(user_ratings.movie_ids, np.array(list(by_movie), np.int64))
    rated = [change for change in by_movie.values() if change.rating is not None]
    movie_ids = np.append(user_ratings.movie_ids[stays], np.array([change.movie_id for change in rated], np.int64))
    ratings = np.append(user_ratings.ratings[stays], np.array([change.rating for change in rated], np.float32))
    rated_at = np.append(user_ratings.rated_at[stays], np.array([change.rated_at for change in rated], np.int64))
    order = np.lexsort((movie_ids, rated_at))
    return UserRatings(movie_ids[order], ratings[order], rated_at[order])
