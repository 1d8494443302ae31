"""Tags that people gave to movies, as labels: a weight by the number of people, and the time of the first."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.movies import Movies, lacking
from cineclub.adapters.files.rejecting import RowCheck, blocks_of
from cineclub.adapters.files.tables import Columns, Layout, read_delimited
from cineclub.adapters.files.validation import IdColumn, refuse_garbled, times_of
from cineclub.domain.ratings.imported import NewMovie
from cineclub.domain.ratings.labels import MAX_NAME_CHARACTERS, Label, clean_name, folded
from cineclub.domain.ratings.rejected_rows import RejectedBlock

NAMES = ("userId", "movieId", "tag", "timestamp")
ROLES = ("userId", "movieId", "timestamp", "timestamp")
"""The reader of ratings asks for a number where the rating belongs; the tag is a column beside."""

CSV_TAGS = Layout(",", None, ROLES, ("tag",))
DAT_TAGS = Layout("::", NAMES, ROLES, ("tag",))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SMALLEST_WEIGHT, WEIGHT_DIGITS = 0.0001, 4


def read_tags(open_file: Callable[[], SourceFile], layout: Layout, known_ids: Collection[str]) -> Movies:
    """Return the movies with their tags; those of other movies than the known ones are rejected.

    Raises:
        InvalidInput: the file is no text, or cannot be read.
    """
    if layout.names is None and (fault := lacking(open_file, NAMES)):
        return Movies([], blocks_of([fault]))
    tags = Tags(known_ids)
    for columns in read_delimited(open_file, layout):
        tags.add(columns)
    return Movies(list(tags.movies()), tags.rejected)


class Tags:
    """The tags of a file, block by block, in compact form."""

    def __init__(self, known_ids: Collection[str]) -> None:
        """Start without tags."""
        self.rejected: list[RejectedBlock] = []
        self._known_ids = known_ids
        self._users, self._movies = IdColumn("user"), IdColumn("film")
        self._spellings: dict[str, int] = {}
        self._parts: list[NDArray[np.int64]] = [np.empty((4, 0), np.int64)]

    def add(self, columns: Columns) -> None:
        """Add the tags of a block, and note its rejected rows."""
        columns = replace(columns, rating=columns.others["tag"])
        check = RowCheck(columns)
        users = self._users.codes_of(check, columns.user)
        movies = self._movies.codes_of(check, columns.movie)
        is_known = [self._id_of(spelling) in self._known_ids for spelling in self._movies.spellings]
        check.refuse(~np.array(is_known, np.bool_)[movies], "the film is in no other file")
        refuse_garbled(check, columns)
        tags = self._tag_codes(check, columns)
        times = times_of(check, columns.rated_at)
        self._parts.append(np.stack([movies, tags, users, times]).astype(np.int64)[:, check.is_valid])
        self.rejected += check.rejected

    def movies(self) -> Iterator[NewMovie]:
        """Yield each movie with its tags, in the order of the file."""
        movies, spelled, users, times = np.concatenate(self._parts, axis=1)
        if not len(movies):
            return
        movies = _codes([self._id_of(spelling) for spelling in self._movies.spellings])[movies]
        tags = _codes([folded(spelling) for spelling in self._spellings])[spelled]
        order = np.lexsort((users, tags, movies))
        is_new_tag = _differs(movies[order]) | _differs(tags[order])
        starts = np.flatnonzero(is_new_tag)
        n_people = np.add.reduceat((is_new_tag | _differs(users[order])).astype(np.int64), starts)
        first_times = np.minimum.reduceat(times[order], starts)
        spellings = spelled[np.minimum.reduceat(order, starts)]
        yield from self._labelled(movies[order][starts], n_people, first_times, spellings)

    def _labelled(
        self,
        movies: NDArray[np.int64],
        n_people: NDArray[np.int64],
        first_times: NDArray[np.int64],
        spellings: NDArray[np.int64],
    ) -> Iterator[NewMovie]:
        """Yield the movies of tags (n,) in order of their movies."""
        ids = list(dict.fromkeys(map(self._id_of, self._movies.spellings)))
        names = [clean_name(spelling) for spelling in self._spellings]
        edges = [*np.flatnonzero(_differs(movies)).tolist(), len(movies)]
        for first, end in pairwise(edges):
            of_movie = slice(first, end)
            shares = np.maximum(np.round(n_people[of_movie] / n_people[of_movie].max(), WEIGHT_DIGITS), SMALLEST_WEIGHT)
            tags = zip(spellings[of_movie].tolist(), shares.tolist(), first_times[of_movie].tolist(), strict=True)
            labels = tuple(
                Label("tag", names[spelling], share, EPOCH + timedelta(microseconds=time))
                for spelling, share, time in tags
            )
            yield NewMovie(ids[movies[first]], None, labels=labels)

    def _tag_codes(self, check: RowCheck, columns: Columns) -> NDArray[np.int32]:
        """Return the codes (n,) of the spellings of a block, and refuse rows without a tag."""
        encoded = pc.dictionary_encode(columns.others["tag"])
        texts = encoded.dictionary.to_pylist()
        places = encoded.indices.to_numpy(zero_copy_only=False)
        if not texts:
            return np.empty(0, np.int32)
        is_bad = np.array([not folded(clean_name(text)) for text in texts])
        check.refuse(is_bad[places], f"the tag is missing, or longer than {MAX_NAME_CHARACTERS} characters")
        codes = np.array([self._spellings.setdefault(text, len(self._spellings)) for text in texts], np.int32)
        codes_of_rows: NDArray[np.int32] = codes[places]
        return codes_of_rows

    def _id_of(self, spelling: str) -> str:
        """Return the id of a spelling: 1 for 1.0 unless that is an id."""
        return spelling if spelling in self._known_ids else spelling.removesuffix(".0")


def _codes(names: list[str]) -> NDArray[np.int64]:
    """Return for each name, shape (n,), the position of its first appearance among different names."""
    codes: dict[str, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], np.int64)


def _differs(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each value, shape (n,), differs from the one before; true for the first."""
    mask = np.ones(len(values), np.bool_)
    mask[1:] = values[1:] != values[:-1]
    return mask
