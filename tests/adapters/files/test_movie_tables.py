"""Films from a file of their own: every column is read, every bad row is named."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from reading import STARS, n_rows, read, read_text, reasons

from cineclub.adapters.files import open_movies, open_source
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings, LeftOut, NewMovie
from cineclub.domain.ratings.labels import Label

RONIN = NewMovie(
    external_id="8985",
    title="Ronin",
    year=1998,
    genres=("Action", "Thriller"),
    imdb_id="tt0122690",
    tmdb_id="8195",
    labels=(
        Label("keyword", "heist", 0.5, datetime(2020, 5, 1, tzinfo=UTC)),
        Label("director", "John Frankenheimer"),
        Label("mood", "tense"),
        Label("mood", "cold"),
    ),
    runtime_minutes=122,
    overview="Five people, a\nbriefcase.",
    is_available=False,
)
LABELS = {"keyword": [{"name": "heist", "weight": 0.5, "since": "2020-05-01"}]}
ROW: dict[str, Any] = {
    "movie_id": "8985",
    "title": "Ronin",
    "year": "1998",
    "genres": "Action|Thriller",
    "imdb_id": "tt0122690",
    "tmdb_id": "8195",
    "runtime_minutes": "122",
    "overview": "Five people, a\nbriefcase.",
    "available": "false",
    "labels": json.dumps(LABELS),
    "director": "John Frankenheimer",
    "label:mood": "tense|cold",
    "rating_of_ours": "5",
}


def read_movies(path: Path) -> ImportedRatings:
    """Read a file of films alone."""
    return open_movies(path).read(STARS, lambda _fraction, _step: None)


def delimited(rows: list[dict[str, Any]], delimiter: str) -> str:
    """Rows with their header, fields quoted where they need it."""
    import csv  # noqa: PLC0415 - of this function alone
    import io  # noqa: PLC0415

    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def csv_of(folder: Path, text: str) -> ImportedRatings:
    """Read a CSV of films with this text."""
    path = folder / "films.csv"
    path.write_text(text)
    return read_movies(path)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_film_is_the_same_in_every_format(tmp_path: Path, suffix: str) -> None:
    """CSV, TSV, JSON lines and Parquet give the same film with all of its columns."""
    path = tmp_path / f"films{suffix}"
    typed = {**ROW, "movie_id": 8985.0, "year": 1998, "runtime_minutes": 122.0, "available": False}
    lists = {"genres": ["Action", "Thriller"], "label:mood": ["tense", "cold"], "tmdb_id": 8195}
    if suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist([{**typed, **lists, "labels": LABELS}]), path)
    elif suffix == ".jsonl":
        path.write_text("\n" + json.dumps({**typed, **lists, "labels": LABELS}) + "\n")
    else:
        path.write_text(delimited([ROW], "\t" if suffix == ".tsv" else ","))
    imported = read_movies(path)
    assert imported.movies == (RONIN,)
    assert len(imported.rows) == 0
    assert list(imported.rejected) == []


def test_columns_may_have_the_names_of_a_release(tmp_path: Path) -> None:
    """movieId, imdbId and tmdbId are read, and a year in the title."""
    (movie,) = csv_of(tmp_path, "title,movieId,imdbId,tmdbId\nHeat (1995),6,0113277,949.0\n").movies
    assert movie == NewMovie("6", "Heat", 1995, imdb_id="0113277", tmdb_id="949")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Heat,1995,,,", "the film id is missing"),
        (f"{'x' * 257},Heat,1995,,,", "longer than 256"),
        ("6,Heat,soon,,,", "the year is no number from 1800 to 2200"),
        ("6,Heat,99999999999,,,", "the year is no number"),
        ("6,Heat,1995,-3,,", "the runtime is no number of minutes"),
        ("6,Heat,1995,nan,,", "the runtime is no number of minutes"),
        ("6,Heat,1995,,maybe,", "available is neither true nor false"),
        ("6,Heat,1995,,,[1]", "the labels are no JSON object"),
        ("6,Heat,1995,,,{", "the labels are no JSON object"),
        ("6,Heat,1995,,," + "[" * 100_000, "the labels are no JSON object"),
        ('6,Heat,1995,,,"{""Big"": [""x""]}"', "a kind of labels is no word"),
        ('6,Heat,1995,,,"{""genre"": [""x""]}"', "a kind of labels is no word"),
        ('6,Heat,1995,,,"{""tag"": [1]}"', "a label is neither a name"),
        ('6,Heat,1995,,,"{""tag"": [{""name"": ""x"", ""weight"": 2}]}"', "the weight of a label"),
        ('6,Heat,1995,,,"{""tag"": [{""name"": ""x"", ""since"": ""once""}]}"', "the time of a label"),
        ("1,Alien,1979,,,", "the film is in this file already"),
        ("6,Heat,1995,,", "5 columns where 6 belong"),
        ('6,"Heat,1995,,,', "a quote opens a field"),
        ("1.5,Heat,1995,,,", "no whole number"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    """The other films are read."""
    text = f"movie_id,title,year,runtime_minutes,available,labels\n1,Alien,1979,117,1,\n\n{row}\n3,Blow,2001,,,\n"
    imported = csv_of(tmp_path, text)
    assert [movie.external_id for movie in imported.movies] == ["1", "3"]
    assert list(reasons(imported)) == [4]
    assert reason in reasons(imported)[4]
    assert imported.rejected[0].file == "films.csv"


@pytest.mark.parametrize("line", ["[]", "{", "7", '"x"', "{" * 5000, '{"movie_id": ' + "9" * 5000 + "}", "\udcff"])
def test_a_line_that_is_no_json_object_is_named(tmp_path: Path, line: str) -> None:
    """The other lines are read."""
    path = tmp_path / "films.jsonl"
    path.write_bytes(
        f'{{"movie_id": 1}}\n{line}\n{{"movie_id": "\\ud800", "label:X": []}}\n'.encode(errors="surrogateescape")
    )
    imported = read_movies(path)
    assert [movie.external_id for movie in imported.movies] == ["1"]
    assert reasons(imported)[2] == "the line is no JSON object"
    assert "a kind of labels is no word" in reasons(imported)[3]


@pytest.mark.parametrize("name", ["titleType", "Title Type", "media_type", "type"])
def test_series_are_left_out_and_counted(tmp_path: Path, name: str) -> None:
    """Series, episodes and games are no films; films for television, shorts and videos are."""
    series = ("tvSeries", "tvEpisode", "tv", "TV Series", "TV Episode", "tvMiniSeries", "TV Mini Series", "Video Game")
    movies = ("movie", "tvMovie", "TV Movie", "short", "video", "Movie", "")
    rows = "".join(f"{nth},{kind}\n" for nth, kind in enumerate((*series, *movies)))
    imported = csv_of(tmp_path, f"movie_id,{name}\n{rows}")
    assert imported.left_out == LeftOut(n_series=len(series))
    assert len(imported.movies) == len(movies)


def test_labels_without_a_name_are_counted(tmp_path: Path) -> None:
    """A label of control characters, and one that is too long, are left out; spellings of one are one."""
    labels = json.dumps({"tag": ["\x01", "x" * 201, "Heist", "heist"]}).replace('"', '""')
    imported = csv_of(tmp_path, f'movie_id,labels\n6,"{labels}"\n')
    assert imported.movies[0].labels == (Label("tag", "Heist"),)
    assert imported.left_out == LeftOut(n_labels=2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("films.csv", "title\nHeat\n", "has no column movie_id"),
        ("films.csv", "movie_id,movie_id\n1,2\n", "has a column twice"),
        ("films.csv", "movie_id,label:Big\n1,2\n", "is no kind of labels"),
        ("films.csv", "", "is empty"),
        ("films.xlsx", "x", "is no file of films"),
        ("films.parquet", "x", "is not a Parquet file"),
    ],
)
def test_what_is_no_table_of_films_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The message names the file and the fault, before ratings are read."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput, match=message):
        open_movies(tmp_path / name)
    with pytest.raises(InvalidInput, match="does not exist"):
        open_movies(tmp_path / "missing.csv")


def test_films_beside_ratings_count_before_those_of_the_release(tmp_path: Path) -> None:
    """What the file says replaces the title of movies.csv; its unrated films come along, and its bad rows count."""
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,6,4,100\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n6,Heat (1995),Crime\n")
    (tmp_path / "films.csv").write_text("movie_id,title,runtime_minutes\n6,Heat!,170\n7,Sabrina,127\n8,Tom,x\n")
    imported = open_source(tmp_path, None, STARS, tmp_path / "films.csv").read(STARS, lambda _fraction, _step: None)
    assert imported.movies == (
        NewMovie("6", "Heat!", 1995, ("Crime",), runtime_minutes=170),
        NewMovie("7", "Sabrina", runtime_minutes=127),
    )
    assert list(reasons(imported)) == [4]
    assert imported.n_read == 1


def test_a_plain_file_of_ratings_names_its_columns_of_films(tmp_path: Path) -> None:
    """Labels of any kind, the runtime and the overview; the first row of a film describes it."""
    mapping = ColumnMapping(
        title="title", runtime="minutes", overview="text", labels=(("director", "by"), ("mood", "moods"))
    )
    header = "user_id,movie_id,rating,rated_at,title,minutes,text,by,moods\n"
    rows = "1,6,4,100,Heat,170.0,Cops,Michael Mann,cold|blue\n2,6,4,100,Heat,90,Other,Nobody,warm\n1,7,3,100,,x,,,\n"
    imported = read_text(tmp_path, header + rows, mapping)
    assert n_rows(imported) == 3
    assert imported.movies == (
        NewMovie(
            "6",
            "Heat",
            labels=(Label("director", "Michael Mann"), Label("mood", "cold"), Label("mood", "blue")),
            runtime_minutes=170,
            overview="Cops",
        ),
        NewMovie("7", "7"),
    )


def test_labels_of_parquet_may_be_lists(tmp_path: Path) -> None:
    """Without a column of titles the titles of the catalogue stay."""
    path = tmp_path / "votes.parquet"
    row = {"user_id": 1, "movie_id": 6, "rating": 4.0, "rated_at": 100, "words": ["heist", "cops, robbers"]}
    pyarrow.parquet.write_table(pa.Table.from_pylist([row]), path)
    (movie,) = read(path, ColumnMapping(labels=(("keyword", "words"),))).movies
    assert movie == NewMovie("6", None, labels=(Label("keyword", "heist"), Label("keyword", "cops, robbers")))


def test_a_kind_of_labels_is_a_word(tmp_path: Path) -> None:
    """Other kinds are refused with an example."""
    with pytest.raises(InvalidInput, match="as director or keyword"):
        ColumnMapping(labels=(("Big Kind", "words"),))
    with pytest.raises(InvalidInput, match="genres have a column of their own"):
        ColumnMapping(labels=(("genre", "words"),))
    assert not any(tmp_path.iterdir())
