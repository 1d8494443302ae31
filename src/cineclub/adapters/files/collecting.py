"""All rows of a source in compact form: valid ratings, and what was left out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files.movies import Movies
from cineclub.adapters.files.rejecting import RowCheck
from cineclub.adapters.files.tables import Columns
from cineclub.adapters.files.validation import MICROSECONDS, BlockChecks, ValidRows
from cineclub.domain.ratings.imported import ImportedRatings, OffScale, RatingRows, superseded
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.rejected_rows import RejectedBlock, RejectedRows
from cineclub.domain.ratings.spelled_ids import SettledIds, settled_ids

KINDS = {
    "user_codes": np.int32,
    "movie_codes": np.int32,
    "ratings": np.float32,
    "rated_at": np.int64,
    "lines": np.uint32,
}
"""The columns of valid rows that are stored, in the order of ``RatingRows``."""

SUPERSEDED = "superseded: the same user rates the same film again in this file, and the later rating counts"


@dataclass(frozen=True, slots=True)
class Collected:
    """The ratings of a source.

    Attributes:
        rows: valid ratings, at most one per user and movie.
        rejected_blocks: the invalid rows.
        superseded: valid rows that a later one replaces.
        n_continued, n_respelled, off_scale: as in ``ImportedRatings``.
    """

    rows: RatingRows
    rejected_blocks: list[RejectedBlock]
    superseded: RejectedRows
    n_continued: int
    n_respelled: int
    off_scale: OffScale

    def imported(self, scale: RatingScale, movies: Movies, *, is_scale_assumed: bool) -> ImportedRatings:
        """Return the ratings with movies and with every rejected row, those of other files included."""
        n_rejected = sum(len(block.lines) for block in self.rejected_blocks)
        return ImportedRatings(
            scale=scale,
            rows=self.rows,
            movies=tuple(movies.movies),
            n_read=len(self.rows) + n_rejected + len(self.superseded),
            rejected=RejectedRows([*self.rejected_blocks, *movies.rejected]),
            superseded=self.superseded,
            n_continued=self.n_continued,
            n_respelled=self.n_respelled,
            off_scale=self.off_scale,
            is_scale_assumed=is_scale_assumed,
            left_out=movies.left_out,
        )


class Collector:
    """Collects the rows of one file, block by block."""

    def __init__(self, scale: RatingScale) -> None:
        """Check every row against the scale."""
        self._checks = BlockChecks(scale)
        self._parts: dict[str, list[NDArray[Any]]] = {name: [np.empty(0, kind)] for name, kind in KINDS.items()}
        self._rejected: list[RejectedBlock] = []
        self._n_continued = 0
        self._file, self._delimiter = "", ","

    def collect(self, blocks: Iterable[Columns]) -> Iterator[tuple[Columns, ValidRows]]:
        """Yield each block with its valid rows, after they were collected."""
        for columns in blocks:
            check = RowCheck(columns)
            valid = self._checks.valid_rows(columns, check)
            for name, parts in self._parts.items():
                parts.append(getattr(valid, name))
            self._rejected += check.rejected
            self._n_continued += columns.n_continued
            self._file, self._delimiter = columns.file, columns.delimiter
            yield columns, valid

    def settled_movies(self) -> SettledIds:
        """Return the ids that the spellings of movies stand for, by the codes of the valid rows."""
        return settled_ids(self._checks.movies.spellings, self._checks.movies.whose)

    def collected(self) -> Collected:
        """Return everything; the collector is empty afterwards."""
        rows, lines = self._all_rows()
        settled = (settled_ids(rows.user_ids, "user"), self.settled_movies())
        is_valid = np.ones(len(rows), np.bool_)
        for ids, codes in zip(settled, (rows.user_codes, rows.movie_codes), strict=True):
            for reason in dict.fromkeys(ids.faults.values()):
                is_faulty = np.array([ids.faults.get(code) == reason for code in range(len(ids.codes))])
                is_bad = is_faulty[codes] & is_valid
                is_valid &= ~is_bad
                self._rejected.append(self._block(rows, lines, is_bad, reason))
        n_trimmed = self._checks.users.n_trimmed + self._checks.movies.n_trimmed
        rows, lines = _selected(_renamed(rows, *settled), is_valid), lines[is_valid]
        is_old = superseded(rows.user_codes, rows.movie_codes, rows.rated_at)
        replaced = self._block(rows, lines, is_old, SUPERSEDED)
        return Collected(
            _selected(rows, ~is_old).compacted(),
            self._rejected,
            RejectedRows([replaced]),
            self._n_continued,
            sum(ids.n_respelled for ids in settled) + n_trimmed,
            self._checks.span.off_scale(),
        )

    def _all_rows(self) -> tuple[RatingRows, NDArray[np.uint32]]:
        """Return the rows of all blocks with the spellings of their ids, and their lines."""
        spellings = (self._checks.users.spellings, self._checks.movies.spellings)
        *columns, lines = (self._joined(name) for name in KINDS)
        return RatingRows(*spellings, *columns), lines

    def _joined(self, name: str) -> NDArray[Any]:
        """Return a column of all blocks, which are freed."""
        parts, self._parts[name] = self._parts[name], []
        return np.concatenate(parts)

    def _block(
        self, rows: RatingRows, lines: NDArray[np.uint32], is_left_out: NDArray[np.bool_], reason: str
    ) -> RejectedBlock:
        """Return the rows of a mask (n,), whose contents are written from their values."""
        some, delimiter = _selected(rows, is_left_out), self._delimiter

        def content_of(nth: int) -> str:
            seconds, micro = divmod(int(some.rated_at[nth]), MICROSECONDS)
            time = f"{seconds}.{micro:06}".rstrip("0") if micro else str(seconds)
            ids = (some.user_ids[some.user_codes[nth]], some.movie_ids[some.movie_codes[nth]])
            return delimiter.join([*ids, f"{some.ratings[nth]:g}", time])

        return RejectedBlock(self._file, reason, lines[is_left_out], content_of)


def _selected(rows: RatingRows, mask: NDArray[np.bool_]) -> RatingRows:
    """Return the rows of a mask (n,)."""
    if mask.all():
        return rows
    ids = (rows.user_ids, rows.movie_ids)
    codes = (rows.user_codes[mask], rows.movie_codes[mask])
    return RatingRows(*ids, *codes, rows.ratings[mask], rows.rated_at[mask])


def _renamed(rows: RatingRows, users: SettledIds, movies: SettledIds) -> RatingRows:
    """Return rows with ids in place of their spellings."""
    if (users.names, movies.names) == (rows.user_ids, rows.movie_ids):
        return rows
    codes = (users.codes[rows.user_codes], movies.codes[rows.movie_codes])
    return RatingRows(users.names, movies.names, *codes, rows.ratings, rows.rated_at)
