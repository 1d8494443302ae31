"""Ratings as a file or a table of somebody's gives them: external ids, columns, and what is wrong with which row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings import RatingLog, RatingScale

MAX_ID_CHARACTERS = 256
MAX_INTEGER_DIGITS = 18
"""An integer id fits into 64 bits, which is what JSON readers can be trusted with."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which columns of a plain CSV or Parquet file hold what; films' texts are optional."""

    user: str = "user_id"
    movie: str = "movie_id"
    rating: str = "rating"
    rated_at: str = "rated_at"
    title: str | None = None
    year: str | None = None
    genres: str | None = None

    def __post_init__(self) -> None:
        """Refuse a column with two meanings."""
        named = [name for name in (self.user, self.movie, self.rating, self.rated_at) if name]
        if len(set(named)) != len(named) or len(named) != len(("user", "movie", "rating", "rated_at")):
            message = "name four different columns: one each for the user, the film, the rating and its time"
            raise InvalidInput(message)

    @property
    def film_columns(self) -> tuple[str, ...]:
        """The named columns that describe the film."""
        return tuple(name for name in (self.title, self.year, self.genres) if name)


@dataclass(frozen=True, slots=True)
class NewMovie:
    """A film as a file describes it; ``external_id`` is the file's own id, kept as text."""

    external_id: str
    title: str
    year: int | None = None
    genres: tuple[str, ...] = ()
    imdb_id: str | None = None
    tmdb_id: str | None = None


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not used: where it stands, why, and what it says."""

    file: str
    line: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class RatingRows:
    """Ratings with their users and films as codes into lists of external ids.

    Attributes:
        user_ids: external ids; a user's code is the position here.
        movie_ids: external ids; a film's code is the position here.
        user_codes: (n,) who rated.
        movie_codes: (n,) what was rated.
        ratings: (n,) on the file's scale.
        rated_at: (n,) microseconds since 1970-01-01 UTC.
    """

    user_ids: tuple[str, ...]
    movie_ids: tuple[str, ...]
    user_codes: NDArray[np.int32]
    movie_codes: NDArray[np.int32]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of ratings."""
        return len(self.ratings)

    def compacted(self) -> "RatingRows":
        """Return the same ratings without the users and films that none of them names."""
        user_ids, user_codes = _used(self.user_ids, self.user_codes)
        movie_ids, movie_codes = _used(self.movie_ids, self.movie_codes)
        return RatingRows(user_ids, movie_ids, user_codes, movie_codes, self.ratings, self.rated_at)

    def to_log(self, scale: RatingScale) -> RatingLog:
        """Return the ratings as models take them, with the codes as ids.

        Raises:
            InvalidInput: ratings that are off the scale.
        """
        users, movies = self.user_codes.astype(np.int64), self.movie_codes.astype(np.int64)
        return RatingLog.from_columns(users, movies, self.ratings, self.rated_at, scale)


@dataclass(frozen=True, slots=True)
class ImportedRatings:
    """What a source gave: ratings and films that may be written, and the rows that may not.

    Attributes:
        scale: the scale that every row was checked against.
        rows: at most one rating per user and film, each valid.
        movies: films with texts, at most one per external id.
        n_read: rows of ratings read.
        rejected: every row of ratings or films that is not usable.
        superseded: ratings that a later one of the same user and film replaces; no fault, and not written.
    """

    scale: RatingScale
    rows: RatingRows
    movies: tuple[NewMovie, ...]
    n_read: int
    rejected: tuple[RejectedRow, ...]
    superseded: tuple[RejectedRow, ...]


def superseded(
    user_codes: NDArray[np.int32], movie_codes: NDArray[np.int32], rated_at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say for each row, shape (n,), whether a later rating of the same film by the same user replaces it.

    Of two ratings at the same moment the one further down is the later.
    """
    mask = np.zeros(len(user_codes), np.bool_)
    pairs = (user_codes.astype(np.int64) << 32) | movie_codes
    in_order = np.sort(pairs)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if len(repeated):
        rows = np.flatnonzero(np.isin(pairs, repeated))
        rows = rows[np.lexsort((rows, rated_at[rows], pairs[rows]))]
        mask[rows[:-1][pairs[rows[1:]] == pairs[rows[:-1]]]] = True
    return mask


def are_integers(external_ids: Sequence[str]) -> bool:
    """Say whether every id is an integer as JSON would write it, so that answers may write it so."""
    return all(map(_is_integer, external_ids))


def _is_integer(text: str) -> bool:
    """Say whether a text is the canonical form of an integer: 7 and -7, not 007."""
    digits = text.removeprefix("-")
    canonical = text == "0" or not digits.startswith("0")
    return digits.isascii() and digits.isdecimal() and canonical and len(digits) <= MAX_INTEGER_DIGITS


def _used(ids: tuple[str, ...], codes: NDArray[np.int32]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the ids that are named and the codes into them."""
    is_used = np.bincount(codes, minlength=len(ids)) > 0
    if is_used.all():
        return ids, codes
    new_codes = (np.cumsum(is_used) - 1).astype(np.int32)
    return tuple(name for name, used in zip(ids, is_used, strict=True) if used), new_codes[codes]
