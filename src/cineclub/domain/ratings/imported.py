"""Imported ratings: external ids, the columns of the source, and rejected rows."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.labels import GENRE, KIND, Label
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale

MAX_ID_CHARACTERS = 256
FEW_OFF_SCALE, FEW_OFF_SCALE_SHARE = 10, 0.01
"""So many ratings off a scale, or such a share, are single errors; more mean that the scale is another one."""

VALUES_AT_A_TIME = 1 << 20
MAX_INTEGER_DIGITS = 18
"""Integer ids with at most so many digits fit into 64 bits, which every JSON reader supports."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The columns of a plain CSV or Parquet file; those that describe the movie are optional.

    ``labels`` has pairs of a kind of labels and its column.
    """

    user: str = "user_id"
    movie: str = "movie_id"
    rating: str = "rating"
    rated_at: str = "rated_at"
    title: str | None = None
    year: str | None = None
    genres: str | None = None
    runtime: str | None = None
    overview: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a column with two meanings, and a kind of labels that is none."""
        named = [name for name in (self.user, self.movie, self.rating, self.rated_at) if name]
        if len(set(named)) != len(named) or len(named) != len(("user", "movie", "rating", "rated_at")):
            message = "name four different columns: one each for the user, the film, the rating and its time"
            raise InvalidInput(message)
        for kind, _ in self.labels:
            refuse_kind(kind)

    @property
    def movie_columns(self) -> tuple[str, ...]:
        """The named columns that describe the movie, each once."""
        texts = (self.title, self.year, self.genres, self.runtime, self.overview)
        return tuple(dict.fromkeys(name for name in (*texts, *(column for _, column in self.labels)) if name))


def refuse_kind(kind: str) -> None:
    """Raise InvalidInput for a kind of labels that is none."""
    if kind == GENRE or not KIND.fullmatch(kind):
        message = (
            f"{kind!r} is no kind of labels: a kind is 1 to 30 small letters, digits and underscores, as director or "
            "keyword; genres have a column of their own"
        )
        raise InvalidInput(message)


@dataclass(frozen=True, slots=True)
class NewMovie:
    """A movie of a file; ``external_id`` is the file's own id, as text, and what the file lacks is None or empty."""

    external_id: str
    title: str | None
    year: int | None = None
    genres: tuple[str, ...] = ()
    imdb_id: str | None = None
    tmdb_id: str | None = None
    labels: tuple[Label, ...] = ()
    runtime_minutes: int | None = None
    overview: str | None = None
    is_available: bool | None = None

    @classmethod
    def of(cls, movie: Movie) -> "NewMovie":
        """Return what is known of a stored movie, which has been read with its overview."""
        return cls(**{field.name: getattr(movie, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What files say of movies and an import does not write, bad rows aside.

    Attributes:
        n_series: series, episodes and video games.
        n_unmatched: movies of other catalogues that no row leads to from a movie here.
        n_labels: labels without a name, or beyond the number that a movie may have.
    """

    n_series: int = 0
    n_unmatched: int = 0
    n_labels: int = 0

    def plus(self, other: "LeftOut") -> "LeftOut":
        """Return both together."""
        return LeftOut(
            self.n_series + other.n_series, self.n_unmatched + other.n_unmatched, self.n_labels + other.n_labels
        )


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not used: its place, the reason, and its content."""

    file: str
    line: int
    reason: str
    content: str


@dataclass(frozen=True, slots=True)
class RatingRows:
    """Ratings with their users and movies as codes: positions in lists of external ids.

    Attributes:
        user_ids: external ids; a user's code is the position here.
        movie_ids: external ids; a movie's code is the position here.
        user_codes: (n,) the users.
        movie_codes: (n,) the movies.
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
        """Return the same ratings without the ids of users and movies that have none."""
        user_ids, user_codes = _used(self.user_ids, self.user_codes)
        movie_ids, movie_codes = _used(self.movie_ids, self.movie_codes)
        return RatingRows(user_ids, movie_ids, user_codes, movie_codes, self.ratings, self.rated_at)

    def to_log(self, scale: RatingScale) -> RatingLog:
        """Return the ratings as a log, with the codes as ids.

        Raises:
            InvalidInput: ratings that are off the scale.
        """
        users, movies = self.user_codes.astype(np.int64), self.movie_codes.astype(np.int64)
        return RatingLog.from_columns(users, movies, self.ratings, self.rated_at, scale)


def no_rows() -> RatingRows:
    """Return no ratings."""
    codes = np.empty(0, np.int32)
    return RatingRows((), (), codes, codes, np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class OffScale:
    """Ratings off the scale: their number, and the lowest and highest of all numbers of the file."""

    n_ratings: int = 0
    lowest: float = 0.0
    highest: float = 0.0


@dataclass(frozen=True, slots=True)
class ImportedRatings:
    """The contents of a source: valid ratings and movies, and rejected rows.

    Attributes:
        scale: the scale that every row was checked against.
        rows: valid ratings, at most one per user and movie.
        movies: movies with what is known of them, at most one per external id.
        n_read: rows of ratings read: the valid ones, the rejected ones and the superseded ones.
        rejected: every row of ratings or movies that is not usable.
        superseded: valid ratings that are not written, because a later one of the same user and movie replaces them.
        n_continued: lines that go on with the row above, because a quoted field holds a line break.
        n_respelled: ids that the file spells in another way: with blanks around them, or 1 as 1.0.
        off_scale: the numbers off the scale.
        is_scale_assumed: whether neither a person nor the files state the scale.
        left_out: what else the files say of movies.
    """

    scale: RatingScale
    rows: RatingRows
    movies: tuple[NewMovie, ...]
    n_read: int
    rejected: Sequence[RejectedRow]
    superseded: Sequence[RejectedRow]
    n_continued: int = 0
    n_respelled: int = 0
    off_scale: OffScale = OffScale()
    is_scale_assumed: bool = False
    left_out: LeftOut = LeftOut()

    @property
    def n_labels(self) -> int:
        """The number of labels of all movies."""
        return sum(len(movie.labels) for movie in self.movies)

    def refuse_wrong_scale(self) -> None:
        """Refuse an assumed scale that does not fit the ratings.

        Raises:
            InvalidInput: more than a few ratings lie off a scale that nobody stated.
        """
        off = self.off_scale
        if self.is_scale_assumed and off.n_ratings > max(FEW_OFF_SCALE, FEW_OFF_SCALE_SHARE * self.n_read):
            message = (
                f"{off.n_ratings:,} of {self.n_read:,} ratings are off the scale {self.scale.lowest:g} to "
                f"{self.scale.highest:g}, which nobody stated: they go from {off.lowest:g} to {off.highest:g}. State "
                f"the scale of the file, for example --scale {off.lowest:g}-{off.highest:g}, or --scale "
                f"{self.scale.lowest:g}-{self.scale.highest:g} if those rows are wrong"
            )
            raise InvalidInput(message)


def superseded(
    user_codes: NDArray[np.int32], movie_codes: NDArray[np.int32], rated_at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return for each row, shape (n,), whether a later rating of the same movie by the same user replaces it.

    Of two ratings at the same moment the one further down is the later.
    """
    mask = np.zeros(len(user_codes), np.bool_)
    pairs = (user_codes.astype(np.int64) << 32) | movie_codes
    in_order = np.sort(pairs)
    repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    del in_order
    if len(repeated):
        rows = np.flatnonzero(_is_among(pairs, repeated))
        rows = rows[np.lexsort((rows, rated_at[rows], pairs[rows]))]
        mask[rows[:-1][pairs[rows[1:]] == pairs[rows[:-1]]]] = True
    return mask


def _is_among(values: NDArray[np.int64], members: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each value, shape (n,), is among sorted members; in parts, which need little memory."""
    mask = np.empty(len(values), np.bool_)
    for first in range(0, len(values), VALUES_AT_A_TIME):
        part = values[first : first + VALUES_AT_A_TIME]
        places = np.minimum(np.searchsorted(members, part), len(members) - 1)
        mask[first : first + len(part)] = members[places] == part
    return mask


def are_integers(external_ids: Sequence[str]) -> bool:
    """Return whether every id is an integer in JSON's form, so that responses can write it as a number."""
    return all(map(_is_integer, external_ids))


def _is_integer(text: str) -> bool:
    """Return whether a text is the canonical form of an integer: 7 and -7, not 007."""
    digits = text.removeprefix("-")
    canonical = text == "0" or not digits.startswith("0")
    return digits.isascii() and digits.isdecimal() and canonical and len(digits) <= MAX_INTEGER_DIGITS


def _used(ids: tuple[str, ...], codes: NDArray[np.int32]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the ids that a code refers to, and the codes into them."""
    is_used = np.bincount(codes, minlength=len(ids)) > 0
    if is_used.all():
        return ids, codes
    new_codes = (np.cumsum(is_used) - 1).astype(np.int32)
    return tuple(name for name, used in zip(ids, is_used, strict=True) if used), new_codes[codes]
