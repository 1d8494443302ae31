"""Files of ratings as tests write and read them."""

from pathlib import Path

from cineclub.adapters.files import open_source
from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings
from cineclub.domain.ratings.log import RatingScale

STARS = RatingScale(0.5, 5.0)
HEADER = "user_id,movie_id,rating,rated_at,title\n"
TITLED = ColumnMapping(title="title")


def read(path: Path, mapping: ColumnMapping | None = None) -> ImportedRatings:
    """Read a path on the scale of half stars."""
    return open_source(path, mapping, STARS).read(STARS, lambda _fraction, _step: None)


def read_text(folder: Path, text: str, mapping: ColumnMapping | None = TITLED) -> ImportedRatings:
    """Read a CSV with this text."""
    path = folder / "votes.csv"
    path.write_text(text)
    return read(path, mapping)


def n_rows(imported: ImportedRatings) -> int:
    """The rows that are used, reported, or continue the row above."""
    return len(imported.rows) + len(imported.rejected) + len(imported.superseded) + imported.n_continued


def reasons(imported: ImportedRatings) -> dict[int, str]:
    """The reasons of the rejected rows, by line."""
    return {row.line: row.reason for row in imported.rejected}


def pairs(imported: ImportedRatings) -> set[tuple[str, str]]:
    """The ids of the ratings, as (user, movie)."""
    rows = imported.rows
    return {
        (rows.user_ids[user], rows.movie_ids[movie])
        for user, movie in zip(rows.user_codes, rows.movie_codes, strict=True)
    }
