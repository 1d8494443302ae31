"""Parts of the ratings of a period: by genre and decade of the film, activity of the user, head and tail of the films.

Within a dimension the parts make up the whole: a rating of a film with several genres counts for each in equal parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings import Movie

GENRE, DECADE, ACTIVITY, POPULARITY = "genre", "decade", "activity", "popularity"
DIMENSIONS = (GENRE, DECADE, ACTIVITY, POPULARITY)
NO_GENRE, NO_YEAR = "(none)", "(unknown)"
ACTIVITY_FROM = (1, 2, 5, 20, 100, 500)
ACTIVITY_NAMES = ("1", "2-4", "5-19", "20-99", "100-499", "500+")
"""Bands by how many ratings a user gave in the period, and where each begins."""

HEAD, TAIL = "head", "tail"
HEAD_PART = 10
"""The head are the one in so many of the rated films, rounded up, that have the most ratings."""

MAX_HEAD = 5_000
ROWS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class SegmentRatings:
    """The ratings of one part.

    Attributes:
        share: of all ratings of the period.
        mean_rating: on the data's scale.
        rating_shares: (n_bins,) the share of each equal part of the scale within this part, the lowest first.
    """

    share: float
    mean_rating: float
    rating_shares: tuple[float, ...]


Segments = Mapping[str, Mapping[str, SegmentRatings]]
"""By dimension and name; parts without ratings are left out."""


@dataclass(frozen=True, slots=True)
class RatingsOfFilms:
    """What was counted for each film in a period.

    Attributes:
        counts: (n_movies, n_bins) ratings in each equal part of the scale.
        sums: (n_movies,) of the ratings.
    """

    counts: NDArray[np.int64]
    sums: NDArray[np.float64]

    @classmethod
    def of(
        cls, movies: NDArray[np.int64], bins: NDArray[np.int8], ratings: NDArray[np.float32], shape: tuple[int, int]
    ) -> "RatingsOfFilms":
        """Count ratings, each (n,) with its film's number and its bin; ``shape`` is (n_movies, n_bins)."""
        counts = np.zeros(shape[0] * shape[1], np.int64)
        sums = np.zeros(shape[0])
        for start in range(0, len(movies), ROWS_AT_ONCE):
            piece = slice(start, start + ROWS_AT_ONCE)
            counts += np.bincount(movies[piece] * shape[1] + bins[piece], minlength=len(counts))
            sums += np.bincount(movies[piece], ratings[piece], minlength=shape[0])
        return cls(counts.reshape(shape), sums)

    @property
    def n_of_movies(self) -> NDArray[np.int64]:
        """How many ratings each film got, shape (n_movies,)."""
        return np.asarray(self.counts.sum(axis=1), np.int64)


@dataclass(frozen=True, slots=True)
class FilmLabels:
    """Which films bear which labels, each film's parts summing to 1.

    Attributes:
        names: (n_labels,) in alphabetic order.
        movies: (n_pairs,) film of each pair.
        labels: (n_pairs,) label of each pair.
        parts: (n_pairs,) what part of a rating of the film falls on the label.
    """

    names: tuple[str, ...]
    movies: NDArray[np.int64]
    labels: NDArray[np.int64]
    parts: NDArray[np.float64]

    @classmethod
    def of(cls, labels_of_movies: Sequence[Sequence[str]]) -> "FilmLabels":
        """Return the labels of films, each of which has at least one."""
        names = sorted({label for labels in labels_of_movies for label in labels})
        numbers = {name: nth for nth, name in enumerate(names)}
        n_each = np.array([len(labels) for labels in labels_of_movies], np.int64)
        flat = np.array([numbers[label] for labels in labels_of_movies for label in labels], np.int64)
        return cls(tuple(names), np.repeat(np.arange(len(n_each)), n_each), flat, np.repeat(1 / n_each, n_each))

    def segments(self, rated: RatingsOfFilms) -> dict[str, SegmentRatings]:
        """Return the part of each label."""
        counts = np.column_stack([self._summed(of_bin) for of_bin in rated.counts.T])
        return segments_of(self.names, counts, self._summed(rated.sums))

    def _summed(self, of_movies: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what falls on each label, shape (n_labels,), of a figure of the films, shape (n_movies,)."""
        return np.bincount(self.labels, of_movies[self.movies] * self.parts, len(self.names)).astype(np.float64)


def segments_of(
    names: Sequence[str], counts: NDArray[np.float64] | NDArray[np.int64], sums: NDArray[np.float64]
) -> dict[str, SegmentRatings]:
    """Return parts by their names, given their ratings by bin, (n_segments, n_bins), and their sums, (n_segments,)."""
    n_ratings = counts.sum(axis=1)
    total = float(n_ratings.sum())
    return {
        names[nth]: SegmentRatings(
            float(n_ratings[nth] / total),
            float(sums[nth] / n_ratings[nth]),
            tuple((counts[nth] / n_ratings[nth]).tolist()),
        )
        for nth in np.flatnonzero(n_ratings > 0).tolist()
    }


def activity_segments(
    n_of_users: NDArray[np.int64], bins: NDArray[np.int8], ratings: NDArray[np.float32], n_bins: int
) -> dict[str, SegmentRatings]:
    """Return the parts by activity, given how many ratings each user gave and these, (n,), user after user."""
    bands = np.searchsorted(ACTIVITY_FROM, n_of_users, side="right").astype(np.int64) - 1
    rated = RatingsOfFilms.of(np.repeat(bands, n_of_users), bins, ratings, (len(ACTIVITY_NAMES), n_bins))
    return segments_of(ACTIVITY_NAMES, rated.counts, rated.sums)


def popularity_segments(is_head: NDArray[np.bool_], rated: RatingsOfFilms) -> dict[str, SegmentRatings]:
    """Return head and tail, given which films, (n_movies,), are the head."""
    masks = np.stack([is_head, ~is_head]).astype(np.int64)
    return segments_of((HEAD, TAIL), masks @ rated.counts, masks @ rated.sums)


def head_of(n_of_movies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions, rising, of the films with the most of the ratings, (n_movies,); the first among equals."""
    n_head = min(-(-int(np.count_nonzero(n_of_movies)) // HEAD_PART), MAX_HEAD)
    return np.sort(np.argsort(-n_of_movies, kind="stable")[:n_head])


def genres_of(movie: Movie | None) -> tuple[str, ...]:
    """Return a film's genres, each once."""
    return tuple(dict.fromkeys(movie.genres)) if movie is not None and movie.genres else (NO_GENRE,)


def decade_of(movie: Movie | None) -> str:
    """Return the first year of a film's decade."""
    return str(movie.year // 10 * 10) if movie is not None and movie.year is not None else NO_YEAR
