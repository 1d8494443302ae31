"""Every release and plain file is parsed; every rejected row is reported with its line."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from cineclub.adapters.files import demo_source, open_source, read_rating_log
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings
from cineclub.domain.ratings.log import RatingScale

STARS = RatingScale(0.5, 5.0)
HEADER = "userId,movieId,rating,timestamp\n"


def read(path: Path, scale: RatingScale | None = None, mapping: ColumnMapping | None = None) -> ImportedRatings:
    """Read a path on its own scale, or on the given one."""
    source = open_source(path, mapping, scale)
    stated = source.scale
    assert stated is not None
    return source.read(stated, lambda _fraction, _message: None)


def triples(imported: ImportedRatings) -> set[tuple[str, str, float, int]]:
    """The ratings as (user, film, rating, seconds)."""
    rows = imported.rows
    return {
        (rows.user_ids[user], rows.movie_ids[movie], float(rating), int(at) // 1_000_000)
        for user, movie, rating, at in zip(rows.user_codes, rows.movie_codes, rows.ratings, rows.rated_at, strict=True)
    }


def reasons(imported: ImportedRatings) -> dict[int, str]:
    """The reasons of the rejected rows, by line."""
    return {row.line: row.reason for row in imported.rejected}


def test_a_csv_release_gives_ratings_movies_and_ids_elsewhere(tmp_path: Path) -> None:
    """The year in a title becomes a field of its own; links give the ids at IMDb and TMDB."""
    (tmp_path / "ratings.csv").write_text(HEADER + "1,10,4.5,964982703\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n10,"American President, The (1995)",Drama|Romance\n')
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n10,0112346,9087\n")
    imported = read(tmp_path)
    assert triples(imported) == {("1", "10", 4.5, 964982703)}
    (movie,) = imported.movies
    assert (movie.title, movie.year, movie.genres) == ("American President, The", 1995, ("Drama", "Romance"))
    assert (movie.imdb_id, movie.tmdb_id) == ("0112346", "9087")
    assert imported.scale == STARS


def test_a_dat_release_and_its_zip_give_the_same_ratings(tmp_path: Path) -> None:
    """``::`` files in a folder and in a zip with an inner folder give the same ratings."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    (folder / "movies.dat").write_bytes("661::Cité des enfants perdus, La (1995)::Adventure|Sci-Fi\n".encode("latin-1"))
    (folder / "README").write_text("MovieLens 1M\n")
    archive = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.iterdir():
            file.write(path, f"ml-1m/{path.name}")
    assert triples(read(folder)) == triples(read(archive)) == {("1", "1193", 5, 978300760), ("2", "661", 3, 978302109)}
    assert read(archive).movies[0].title == "Cité des enfants perdus, La"


def test_ml_100k_is_read_with_its_genre_flags(tmp_path: Path) -> None:
    """u.data is tab-separated; u.item has a flag per genre."""
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    flags = "|".join("1" if nth in {5, 14} else "0" for nth in range(19))
    (tmp_path / "u.item").write_bytes(f"242|Kolya (1996)|24-Jan-1997||http://x|{flags}\n".encode("latin-1"))
    imported = read(tmp_path)
    assert triples(imported) == {("196", "242", 3, 881250949)}
    assert imported.movies[0].genres == ("Comedy", "Romance")
    assert imported.scale == RatingScale(1, 5)


def test_movietweetings_keeps_its_ids_and_its_scale(tmp_path: Path) -> None:
    """Ids keep their leading zeros, and the scale goes to ten points."""
    (tmp_path / "README.md").write_text("# MovieTweetings\n")
    (tmp_path / "ratings.dat").write_text("1::0068646::10::1381620027\n1::0113277::0::1379466669\n")
    imported = read(tmp_path)
    assert imported.scale == RatingScale(0, 10)
    assert triples(imported) == {("1", "0068646", 10, 1381620027), ("1", "0113277", 0, 1379466669)}


def test_a_dat_file_that_no_readme_explains_needs_a_stated_scale(tmp_path: Path) -> None:
    """A .dat file without a README is refused until a scale is given; next to its README it is read."""
    (tmp_path / "ratings.dat").write_text("1::0068646::10::1381620027\n")
    (tmp_path / "movies.dat").write_text("0068646::The Godfather (1972)::Crime\n")
    assert open_source(tmp_path).scale is None
    imported = read(tmp_path / "ratings.dat", RatingScale(0, 10))
    assert triples(imported) == {("1", "0068646", 10, 1381620027)}
    assert imported.movies[0].title == "The Godfather"


def test_every_bad_row_is_named_by_its_line_and_reason(tmp_path: Path) -> None:
    """Every invalid row is reported with its true line number, blank lines counted."""
    bad = {
        3: ("1,2,NaN,964982703", "not finite"),
        4: ("1,3,inf,964982703", "not finite"),
        5: ("1,4,5.5,964982703", "off the scale"),
        6: (",5,3,964982703", "user id is missing"),
        7: ("1,,3,964982703", "film id is missing"),
        8: ("1,6,3,964982703000", "milliseconds"),
        9: ("1,7,3,yesterday", "neither seconds"),
        10: ("1,8,good,964982703", "not a number"),
        11: ("1,9,3", "columns"),
        12: ("1,9,3,964982703,7", "columns"),
        14: ("1,10,,964982703", "rating is missing"),
        15: ("1,11,3,", "time is missing"),
        16: ("1,12,3,-5", "before 1970"),
        18: ("1,13,3,20240501", "looks like a date"),
        17: (f"{'x' * 257},13,3,964982703", "longer than 256"),
    }
    lines = {2: "1,1,4,964982703", 13: "", 19: "2,1,3,964982703"} | {line: text for line, (text, _) in bad.items()}
    (tmp_path / "ratings.csv").write_text(HEADER + "\n".join(lines[line] for line in sorted(lines)) + "\n")
    imported = read(tmp_path)
    assert triples(imported) == {("1", "1", 4, 964982703), ("2", "1", 3, 964982703)}
    reasons_by_line = reasons(imported)
    assert reasons_by_line.keys() == bad.keys()
    assert all(expected in reasons_by_line[line] for line, (_, expected) in bad.items())
    assert imported.n_read == 17


def test_bytes_that_are_not_utf_8_cost_only_their_row(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 reject one row, with its line."""
    rows = b"1,1,4,100\n\xff2,1,4,100\n3,1,4,1.5e9\n4,1,1e999,100\n5,1,4,1234567890123456789\n"
    (tmp_path / "ratings.csv").write_bytes(HEADER.encode() + rows)
    imported = read(tmp_path)
    assert triples(imported) == {("1", "1", 4, 100), ("3", "1", 4, 1_500_000_000)}
    reasons_by_line = reasons(imported)
    assert "UTF-8" in reasons_by_line[3]
    assert "not finite" in reasons_by_line[5]
    assert "milliseconds" in reasons_by_line[6]


def test_the_later_of_two_ratings_of_a_movie_counts(tmp_path: Path) -> None:
    """The earlier of two ratings of one film by one user is superseded, whatever their lines."""
    (tmp_path / "ratings.csv").write_text(HEADER + "1,1,2,200\n1,1,5,300\n1,1,3,100\n")
    imported = read(tmp_path)
    assert triples(imported) == {("1", "1", 5, 300)}
    assert [row.line for row in imported.superseded] == [2, 4]
    assert not imported.rejected


def test_a_plain_csv_is_read_by_its_stated_columns(tmp_path: Path) -> None:
    """Column names are given by the caller; times are ISO 8601 or seconds; texts of films may be in the same file."""
    path = tmp_path / "votes.csv"
    path.write_text(
        "who,what,name,stars,at\nana,tt1,Heat (1995),8,2024-05-01T12:00:00+02:00\n"
        "bob,tt1,Heat (1995),9,1714557600\ncy,tt1,Heat (1995),7,2024-13-01\n"
    )
    mapping = ColumnMapping("who", "what", "stars", "at", title="name")
    imported = read(path, RatingScale(1, 10), mapping)
    assert triples(imported) == {("ana", "tt1", 8, 1714557600), ("bob", "tt1", 9, 1714557600)}
    assert (imported.movies[0].title, imported.movies[0].year) == ("Heat", 1995)
    assert "neither seconds" in reasons(imported)[4]


def test_a_parquet_file_is_read_by_its_stated_columns(tmp_path: Path) -> None:
    """Integers, floats, timestamps and missing values are read as they are."""
    table = pa.table(
        {
            "user_id": pa.array([1, 2, None], pa.int64()),
            "movie_id": ["a", "b", "c"],
            "rating": pa.array([3.5, float("nan"), 4.0]),
            "rated_at": pa.array([1714557600 * 1000] * 3, pa.timestamp("ms", "UTC")),
        }
    )
    path = tmp_path / "votes.parquet"
    pyarrow.parquet.write_table(table, path)
    imported = read(path, STARS)
    assert triples(imported) == {("1", "a", 3.5, 1714557600)}
    assert set(reasons(imported)) == {2, 3}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("votes.csv", "a,b\n1,2\n", "no column user_id"),
        ("votes.csv", "", "empty"),
        ("votes.parquet", "nothing", "not a Parquet"),
        ("votes.doc", "nothing", "of no known kind"),
    ],
)
def test_a_file_that_is_not_ratings_is_refused_with_what_to_do(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    """The error names the fault of the file and the next step."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidInput, match=expected):
        read(path, STARS)


def test_a_missing_path_and_a_folder_without_ratings_are_refused(tmp_path: Path) -> None:
    """Both errors list the formats that can be imported."""
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InvalidInput, match="MovieLens"):
            open_source(path)


def test_a_file_without_a_scale_is_not_guessed(tmp_path: Path) -> None:
    """Without a database, the scale of a plain file must be given."""
    path = tmp_path / "votes.csv"
    path.write_text("user_id,movie_id,rating,rated_at\n1,1,3,100\n")
    with pytest.raises(InvalidInput, match="--scale"):
        read_rating_log(path)
    assert len(read_rating_log(path, scale=STARS)) == 1


def test_the_real_ratings_are_all_read(ml_small: Path) -> None:
    """No row of a real release is refused."""
    log = read_rating_log(ml_small)
    assert len(log) > 100_000
    assert np.all(np.diff(log.user_ids) >= 0)


def test_the_demo_ratings_are_all_read() -> None:
    """The demo has 100,004 real ratings of films with titles, years and genres."""
    imported = demo_source().read(STARS, lambda _fraction, _message: None)
    assert len(imported.rows) == 100_004
    assert not imported.rejected
    assert any(movie.title == "Toy Story" and movie.year == 1995 for movie in imported.movies)
