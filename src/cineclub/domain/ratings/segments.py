"""Segments of the ratings of a period: by genre and decade of the movie, activity of the user, head and tail of movies.

The segments of a dimension partition the ratings; a rating of a movie with several genres counts for each in equal
parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.ratings.counts import RatingCounts
from cineclub.domain.ratings.log import Movie

GENRE, DECADE, ACTIVITY, POPULARITY = "genre", "decade", "activity", "popularity"
DIMENSIONS = (GENRE, DECADE, ACTIVITY, POPULARITY)
NO_GENRE, NO_YEAR = "(none)", "(unknown)"
ACTIVITY_FROM = (1, 2, 5, 20, 100, 500)
ACTIVITY_NAMES = ("1", "2-4", "5-19", "20-99", "100-499", "500+")
"""Bands by the number of ratings of a user in the period, and the start of each."""

HEAD, TAIL = "head", "tail"
HEAD_PART = 10
"""The head is one in ten of the rated movies, rounded up: those with the most ratings."""

MAX_HEAD = 5_000


@dataclass(frozen=True, slots=True)
class SegmentRatings:
    """The ratings of one segment.

    Attributes:
        share: of all ratings of the period.
        mean_rating: on the data's scale.
        rating_shares: (n_bins,) the share of each equal part of the scale within the segment, the lowest first.
    """

    share: float
    mean_rating: float
    rating_shares: tuple[float, ...]


Segments = Mapping[str, Mapping[str, SegmentRatings]]
"""Segments by dimension and name, without those that have no ratings."""

LabelGroups = Iterable[tuple[Sequence[str], Sequence[int]]]
"""Movies by their labels: the labels that the movies of a group share, and the ids of these movies."""


@dataclass(frozen=True, slots=True)
class MovieLabels:
    """Labels of movies; the ratings of a movie fall on its labels in equal parts.

    Attributes:
        names: (n_labels,) in alphabetic order.
        movie_ids: (n_movies,) rising.
        groups: (n_movies,) the group of each movie; movies of a group have the same labels.
        pair_groups: (n_pairs,) group of each pair of group and label; the last group is that of unknown movies.
        pair_labels: (n_pairs,) label of each pair, as position in ``names``.
    """

    names: tuple[str, ...]
    movie_ids: NDArray[np.int64]
    groups: NDArray[np.int64]
    pair_groups: NDArray[np.int64]
    pair_labels: NDArray[np.int64]

    @classmethod
    def of(cls, groups: LabelGroups, unknown: str) -> "MovieLabels":
        """Return the labels of groups of movies; all other movies and those without a label get ``unknown``."""
        labels_of, ids_of = zip(*[*groups, ((unknown,), ())], strict=True)
        labels = [tuple(dict.fromkeys(given)) or (unknown,) for given in labels_of]
        names = sorted({name for group in labels for name in group})
        numbers = {name: nth for nth, name in enumerate(names)}
        movie_ids = np.concatenate([np.asarray(ids, np.int64) for ids in ids_of])
        order = np.argsort(movie_ids)
        return cls(
            names=tuple(names),
            movie_ids=movie_ids[order],
            groups=np.repeat(np.arange(len(labels)), [len(ids) for ids in ids_of])[order],
            pair_groups=np.repeat(np.arange(len(labels)), [len(group) for group in labels]),
            pair_labels=np.array([numbers[name] for group in labels for name in group], np.int64),
        )

    def segments(self, rated: RatingCounts) -> dict[str, SegmentRatings]:
        """Return the segment of each label, given the ratings by movie."""
        parts = 1 / np.bincount(self.pair_groups)[self.pair_groups]
        groups, n_groups = self._groups_of(rated.ids), int(self.pair_groups[-1]) + 1

        def by_label(of_movies: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
            of_groups = np.bincount(groups, of_movies, n_groups)
            by_name = np.bincount(self.pair_labels, of_groups[self.pair_groups] * parts, len(self.names))
            return by_name.astype(np.float64, copy=False)

        return segments_of(
            self.names, np.column_stack([by_label(in_bin) for in_bin in rated.counts.T]), by_label(rated.sums)
        )

    def shares(self, movie_ids: NDArray[np.int64], weights: NDArray[np.float64]) -> dict[str, float]:
        """Return the share of each label that has one, given movies, (n,), and what each of them counts, (n,)."""
        parts = 1 / np.bincount(self.pair_groups)[self.pair_groups]
        of_groups = np.bincount(self._groups_of(movie_ids), weights, int(self.pair_groups[-1]) + 1)
        by_name = np.bincount(self.pair_labels, of_groups[self.pair_groups] * parts, len(self.names))
        return {self.names[nth]: float(by_name[nth] / by_name.sum()) for nth in np.flatnonzero(by_name > 0).tolist()}

    def _groups_of(self, movie_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group of each movie, shape (n,)."""
        unknown = int(self.pair_groups[-1])
        if not len(self.movie_ids):
            return np.full(len(movie_ids), unknown)
        positions = np.minimum(np.searchsorted(self.movie_ids, movie_ids), len(self.movie_ids) - 1)
        return np.where(self.movie_ids[positions] == movie_ids, self.groups[positions], unknown)


@dataclass(frozen=True, slots=True)
class MovieTraits:
    """Genres and decades of movies."""

    genres: MovieLabels
    decades: MovieLabels

    @classmethod
    def of(cls, movies: Iterable[Movie]) -> "MovieTraits":
        """Return the traits of movies."""
        by_genres: dict[tuple[str, ...], list[int]] = {}
        by_year: dict[int | None, list[int]] = {}
        for movie in movies:
            by_genres.setdefault(movie.genres, []).append(movie.movie_id)
            by_year.setdefault(movie.year, []).append(movie.movie_id)
        return cls.of_groups(by_genres.items(), by_year.items())

    @classmethod
    def of_groups(cls, by_genres: LabelGroups, by_year: Iterable[tuple[int | None, Sequence[int]]]) -> "MovieTraits":
        """Return the traits of movies, given as groups of ids by genres and by year."""
        by_decade = [((decade_of(year),), movie_ids) for year, movie_ids in by_year]
        return cls(MovieLabels.of(by_genres, NO_GENRE), MovieLabels.of(by_decade, NO_YEAR))


def segments_of(
    names: Sequence[str], counts: NDArray[np.float64] | NDArray[np.int64], sums: NDArray[np.float64]
) -> dict[str, SegmentRatings]:
    """Return segments by name, given their ratings by bin, (n_segments, n_bins), and their sums, (n_segments,)."""
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


def activity_segments(rated: RatingCounts) -> dict[str, SegmentRatings]:
    """Return the segments by activity, given the ratings by user."""
    bands = np.searchsorted(ACTIVITY_FROM, rated.n_each, side="right") - 1
    is_of_band = (bands == np.arange(len(ACTIVITY_NAMES))[:, None]).astype(np.int64)
    return segments_of(ACTIVITY_NAMES, is_of_band @ rated.counts, is_of_band @ rated.sums)


def popularity_segments(is_head: NDArray[np.bool_], rated: RatingCounts) -> dict[str, SegmentRatings]:
    """Return head and tail, given the ratings by movie and which of these movies, (n,), are the head."""
    masks = np.stack([is_head, ~is_head]).astype(np.int64)
    return segments_of((HEAD, TAIL), masks @ rated.counts, masks @ rated.sums)


def head_of(rated: RatingCounts) -> NDArray[np.int64]:
    """Return the ids, rising, of the movies with the most ratings; the lowest id first among equals."""
    n_head = min(-(-len(rated.ids) // HEAD_PART), MAX_HEAD)
    return np.sort(rated.ids[np.argsort(-rated.n_each, kind="stable")[:n_head]])


def decade_of(year: int | None) -> str:
    """Return the first year of a decade."""
    return NO_YEAR if year is None else str(year // 10 * 10)
