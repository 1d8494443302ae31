"""Every format that is read, and every fault of a row."""

import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from cineclub.adapters.files import open_source, read_rating_log
from cineclub.domain.errors import InvalidInput
from cineclub.domain.imported_ratings import ColumnMapping, ImportedRatings
from cineclub.domain.ratings import RatingScale

STARS = RatingScale(0.5, 5.0)
HEADER = "userId,movieId,rating,timestamp\n"
FLAGS = "|".join("1" if nth == 1 else "0" for nth in range(19))


def read(path: Path, scale: RatingScale = STARS, mapping: ColumnMapping | None = None) -> ImportedRatings:
    """Read a path."""
    return open_source(path, mapping, scale).read(scale, lambda _fraction, _message: None)


def ml_100k(folder: Path) -> None:
    """Write a release as of 1998."""
    (folder / "u.data").write_text("7\t50\t4\t881250949\n")
    (folder / "u.item").write_bytes(f"50|Amélie (2001)|01-Jan-2001||http://x|{FLAGS}\n".encode("latin-1"))


def ml_1m(folder: Path) -> None:
    """Write a release with two colons between the columns."""
    (folder / "ratings.dat").write_text("7::50::4::881250949\n")
    (folder / "movies.dat").write_bytes("50::Amélie (2001)::Action\n".encode("latin-1"))


def csv_release(folder: Path) -> None:
    """Write a release as of today."""
    (folder / "ratings.csv").write_text(HEADER + "7,50,4.0,881250949\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n50,Amélie (2001),Action\n", "utf-8")


@pytest.mark.parametrize("write", [ml_100k, ml_1m, csv_release])
@pytest.mark.parametrize("is_zip", [False, True])
def test_every_release_is_read(write: Callable[[Path], None], tmp_path: Path, *, is_zip: bool) -> None:
    """Folder or zip, old or new, Latin-1 or UTF-8: the same rating of the same film."""
    folder = tmp_path / "release"
    folder.mkdir()
    write(folder)
    path = folder
    if is_zip:
        path = tmp_path / "release.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"release/{file.name}")
    imported = read(path)
    film = imported.movies[0]
    assert (imported.rows.user_ids, imported.rows.movie_ids) == (("7",), ("50",))
    assert imported.rows.rated_at.tolist() == [881_250_949_000_000]
    assert (film.title, film.year, film.genres) == ("Amélie", 2001, ("Action",))


def test_movietweetings_goes_from_0_to_10_and_keeps_its_ids(tmp_path: Path) -> None:
    """The README names the release, hence the scale; ids with leading zeros stay text."""
    (tmp_path / "README.md").write_text("# MovieTweetings\n")
    (tmp_path / "ratings.dat").write_text("1::0002844::10::1365029107\n")
    source = open_source(tmp_path)
    assert source.scale == RatingScale(0, 10)
    assert read(tmp_path, RatingScale(0, 10)).rows.movie_ids == ("0002844",)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,2,nan,5", "not finite"),
        ("1,2,-inf,5", "not finite"),
        ("1,2,9,5", "off the scale 0.5 to 5"),
        ("1,2,,5", "rating is missing"),
        ("1,2,four,5", "not a number"),
        (",2,4,5", "user id is missing"),
        ("1,,4,5", "film id is missing"),
        ("u" * 257 + ",2,4,5", "longer than 256"),
        ("1,2,4,964982703000", "looks like milliseconds"),
        ("1,2,4,-5", "before 1970"),
        ("1,2,4,yesterday", "neither seconds"),
        ("1,2,4,", "time is missing"),
        ("1,2,4", "3 columns where 4 belong"),
        ("1,2,4,5,6", "5 columns where 4 belong"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line(row: str, reason: str, tmp_path: Path) -> None:
    """The row between two good ones is named by its line and what is wrong; the others are used."""
    path = tmp_path / "ratings.csv"
    path.write_text(f"{HEADER}1,1,4,5\n{row}\n1,3,4,5\n")
    imported = read(path)
    assert [(one.file, one.line) for one in imported.rejected] == [("ratings.csv", 3)]
    assert reason in imported.rejected[0].reason
    assert imported.rows.movie_ids == ("1", "3")


def test_the_later_of_two_ratings_counts(tmp_path: Path) -> None:
    """A film rated twice by one user is no fault: the earlier rating is reported as superseded."""
    path = tmp_path / "ratings.csv"
    path.write_text(f"{HEADER}1,1,4,20\n1,1,3,10\n")
    imported = read(path)
    assert imported.rows.ratings.tolist() == [4.0]
    assert not imported.rejected
    assert [one.line for one in imported.superseded] == [3]


def test_a_plain_csv_needs_its_columns_and_scale(tmp_path: Path) -> None:
    """With a mapping, own names, ISO times and titles are read; without a scale there is no log."""
    path = tmp_path / "own.csv"
    path.write_text('who,what,points,at,name\nann,"a,b",7,2015-03-01T12:00:00+01:00,Heat (1995)\n')
    mapping = ColumnMapping("who", "what", "points", "at", title="name")
    imported = read(path, RatingScale(1, 10), mapping)
    assert imported.rows.movie_ids == ("a,b",)
    assert imported.rows.rated_at[0] == datetime(2015, 3, 1, 11, tzinfo=UTC).timestamp() * 1_000_000
    assert (imported.movies[0].title, imported.movies[0].year) == ("Heat", 1995)
    with pytest.raises(InvalidInput, match="--scale"):
        read_rating_log(path, mapping)
    with pytest.raises(InvalidInput, match="no column user_id"):
        read(path)


def test_parquet_is_read_with_its_own_types(tmp_path: Path) -> None:
    """Integers and timestamps come out as the same ids and times as text would."""
    path = tmp_path / "own.parquet"
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    columns = {"user_id": [1, 2], "movie_id": [5, 5], "rating": [3.0, float("nan")], "rated_at": [moment, moment]}
    pyarrow.parquet.write_table(pa.table(columns), path)
    imported = read(path)
    assert imported.rows.user_ids == ("1",)
    assert imported.rows.rated_at.tolist() == [int(moment.timestamp()) * 1_000_000]
    assert [one.line for one in imported.rejected] == [2]


def test_a_log_is_read_without_a_database(ml_small: Path) -> None:
    """All ratings of a release, in canonical order."""
    log = read_rating_log(ml_small)
    assert len(log) > 100_000
    assert (np.diff(log.user_ids) >= 0).all()


def test_what_is_not_ratings_is_refused_in_words(tmp_path: Path) -> None:
    """A missing path and a folder without ratings say what could be named instead."""
    with pytest.raises(InvalidInput, match="does not exist"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="no ratings that are known"):
        open_source(tmp_path)
