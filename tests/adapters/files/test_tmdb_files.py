"""The files of TMDB's movies as Kaggle has them give labels and texts; a bad text costs its row alone."""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from reading import read, reasons

from cineclub.adapters.files.literals import LONGEST_LITERAL, objects_of
from cineclub.adapters.files.movie_values import BadValue
from cineclub.domain.ratings.imported import ImportedRatings, LeftOut, NewMovie
from cineclub.domain.ratings.labels import Label

HEAT: Mapping[str, object] = {
    "adult": "False",
    "belongs_to_collection": {"id": 7, "name": "Mann's Los Angeles", "poster_path": None},
    "budget": "60000000",
    "genres": [{"id": 28, "name": "Action"}, {"id": 80, "name": "Crime"}],
    "homepage": "",
    "id": "949",
    "imdb_id": "tt0113277",
    "original_language": "en",
    "original_title": "Heat",
    "overview": 'Obsessive master thief,\n"Neil" McCauley.',
    "popularity": "17.924927",
    "poster_path": "/x.jpg",
    "production_companies": [{"name": "Regency Enterprises", "id": 508}],
    "production_countries": [{"iso_3166_1": "US", "name": "United States of America"}],
    "release_date": "1995-12-15",
    "revenue": "187436818",
    "runtime": "170.0",
    "spoken_languages": [{"iso_639_1": "en", "name": "English"}],
    "status": "Released",
    "tagline": "A Los Angeles Crime Saga",
    "title": "Heat",
    "video": "False",
    "vote_average": "7.7",
    "vote_count": "1886",
}
CAST = [{"cast_id": 25, "character": "Lt. Hanna 'Vince'", "name": f"Actor {nth}", "order": nth} for nth in range(12)]
CREW = [
    {"department": "Directing", "job": "Director", "name": "Michael Mann"},
    {"job": "Editor", "name": "Dov Hoenig"},
]


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as pandas does: lists and objects as Python writes them."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_kaggle(folder: Path, *more: Mapping[str, object]) -> Path:
    """Write ratings of the film 6, linked to 949, with metadata, keywords and credits."""
    (folder / "ratings_small.csv").write_text("userId,movieId,rating,timestamp\n1,6,4,100\n1,8,4,100\n")
    (folder / "links_small.csv").write_text("movieId,imdbId,tmdbId\n6,0113277,949\n8,0112302,\n")
    write_csv(folder / "movies_metadata.csv", [HEAT, *({**HEAT, **movie} for movie in more)])
    write_csv(folder / "keywords.csv", [{"id": 949, "keywords": [{"id": 642, "name": "robbery"}]}])
    write_csv(folder / "credits.csv", [{"cast": CAST[::-1], "crew": CREW, "id": 949}])
    return folder


def by_id(imported: ImportedRatings) -> dict[str, NewMovie]:
    """The movies by id."""
    return {movie.external_id: movie for movie in imported.movies}


def test_a_movie_has_the_texts_and_labels_of_all_files(tmp_path: Path) -> None:
    """Films are matched by links; the first ten actors weigh less and less."""
    imported = read(write_kaggle(tmp_path))
    heat = by_id(imported)["6"]
    assert (heat.title, heat.year, heat.genres) == ("Heat", 1995, ("Action", "Crime"))
    assert (heat.imdb_id, heat.tmdb_id, heat.runtime_minutes) == ("0113277", "949", 170)
    assert heat.overview == 'Obsessive master thief,\n"Neil" McCauley.'
    cast = [label for label in heat.labels if label.kind == "cast"]
    assert [(label.name, label.weight) for label in cast[:3]] == [
        ("Actor 0", 1),
        ("Actor 1", 0.833),
        ("Actor 2", 0.714),
    ]
    assert len(cast) == 10
    assert [label for label in heat.labels if label.kind != "cast"] == [
        Label("collection", "Mann's Los Angeles"),
        Label("language", "en"),
        Label("country", "US"),
        Label("company", "Regency Enterprises"),
        Label("keyword", "robbery"),
        Label("director", "Michael Mann"),
    ]
    assert list(imported.rejected) == []


def test_what_tells_of_popularity_is_not_read(tmp_path: Path) -> None:
    """Other votes, popularity, budget and revenue give the same films."""
    before = read(write_kaggle(tmp_path)).movies
    numbers = dict.fromkeys(("vote_count", "vote_average", "popularity", "budget", "revenue"), "1")
    write_csv(tmp_path / "movies_metadata.csv", [{**HEAT, **numbers}])
    assert read(tmp_path).movies == before


def test_a_zip_gives_the_same(tmp_path: Path) -> None:
    """Files of a zip are read as those of a folder."""
    folder = tmp_path / "archive"
    folder.mkdir()
    write_kaggle(folder)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    assert read(tmp_path / "archive.zip").movies == read(folder).movies


def test_movies_csv_counts_before_tmdb(tmp_path: Path) -> None:
    """Title, year and genres of movies.csv stay; what it lacks is filled."""
    write_kaggle(tmp_path)
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n6,Heat,Thriller\n8,Tom and Huck (1995),Children\n")
    movies = by_id(read(tmp_path))
    assert (movies["6"].title, movies["6"].year, movies["6"].genres) == ("Heat", 1995, ("Thriller",))
    assert movies["6"].runtime_minutes == 170
    assert movies["8"].title == "Tom and Huck"


def test_without_links_ids_are_those_of_tmdb(tmp_path: Path) -> None:
    """The film 949 of the ratings is 949 at TMDB; films that nobody rated come along."""
    write_kaggle(tmp_path, {"id": "11", "title": "Star Wars"})
    (tmp_path / "links_small.csv").unlink()
    movies = by_id(read(tmp_path))
    assert sorted(movies) == ["11", "949"]
    assert "Michael Mann" in {label.name for label in movies["949"].labels}


def test_films_that_no_link_leads_to_are_counted(tmp_path: Path) -> None:
    """They are left out, each once, whichever file names them."""
    write_kaggle(tmp_path, {"id": "11", "title": "Star Wars"})
    write_csv(tmp_path / "keywords.csv", [{"id": nth, "keywords": "[]"} for nth in (949, 11, 12)])
    imported = read(tmp_path)
    assert sorted(by_id(imported)) == ["6"]
    assert imported.left_out == LeftOut(n_unmatched=2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "1997-08-20"}, "the film id is missing, or no number of TMDB"),
        ({"id": "949"}, "the film is in this file already"),
        ({"id": "8", "genres": "[{'name': 'Action'"}, "the column genres holds no list of objects"),
        ({"id": "8", "genres": "__import__('os').abort()"}, "the column genres holds no list of objects"),
        ({"id": "8", "genres": [{"id": 1}]}, "an object in the column genres has no name"),
        ({"id": "8", "belongs_to_collection": "0.065736"}, "the column belongs_to_collection holds no list"),
        ({"id": "8", "runtime": "long"}, "the runtime is no number"),
        ({"id": "8", "release_date": "1"}, "the year is no number"),
        ({"id": "8", "overview": "x" * 10_001}, "the overview is longer"),
    ],
)
def test_a_bad_row_is_reported_and_the_rest_is_read(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    """A row that cannot be read costs nothing else; its line is the first of its lines."""
    write_kaggle(tmp_path, change)
    (tmp_path / "links_small.csv").write_text("movieId,imdbId,tmdbId\n6,0113277,949\n8,0112302,8\n")
    imported = read(tmp_path)
    assert sorted(by_id(imported)) == ["6"]
    assert list(reasons(imported)) == [4]
    assert reason in reasons(imported)[4]


def test_repeated_rows_of_keywords_are_joined(tmp_path: Path) -> None:
    """Kaggle's keywords.csv repeats many rows; they are no faults."""
    write_kaggle(tmp_path)
    write_csv(tmp_path / "keywords.csv", [{"id": 949, "keywords": [{"name": name}]} for name in ("heist", "HEIST")])
    imported = read(tmp_path)
    assert [label.name for label in by_id(imported)["6"].labels if label.kind == "keyword"] == ["heist"]
    assert list(imported.rejected) == []


def test_series_are_left_out_and_counted(tmp_path: Path) -> None:
    """A row whose type is a series is no film, and its keywords are left out with it."""
    write_kaggle(tmp_path)
    write_csv(tmp_path / "movies_metadata.csv", [{**HEAT, "media_type": "tv"}])
    imported = read(tmp_path)
    assert imported.movies == ()
    assert imported.left_out == LeftOut(n_series=1)


def test_a_file_of_another_kind_is_reported(tmp_path: Path) -> None:
    """A keywords.csv without TMDB's columns is one rejected row."""
    write_kaggle(tmp_path)
    (tmp_path / "keywords.csv").write_text("word,count\nheist,3\n")
    assert reasons(read(tmp_path)) == {1: "the file has no column id, keywords, so none of it is used"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{'a': " * 50_000,
        "-" * 100_000 + "1",
        "[{'a': " + "(" * 5000 + "}]",
        "[{'a': 1" + "+1" * 20_000 + "}]",
        "[{'a': b'x'.y}]",
        "[{'a': f'{1}'}]",
        "[{'a': " + "9" * 10_000 + "}]",
        f"[{{'name': '{'x' * LONGEST_LITERAL}'}}]",
        "[{['name']: 1}]",
        "[{'a': 'b\\'}]",
    ],
)
def test_a_text_that_is_no_flat_list_is_refused(text: str) -> None:
    """Deep, long and other texts are refused before or by the parser, and nothing else is raised."""
    with pytest.raises(BadValue, match="holds no list of objects"):
        objects_of(text, "genres")


def test_texts_within_objects_may_hold_anything() -> None:
    """Quotes, brackets and escapes within a text are no structure."""
    objects = [{"name": "[{('O'Brien\": x})", "order": 3, "is_it": None}, {"name": 'a "b" \\ c'}]
    assert objects_of(repr(objects), "cast") == objects
    assert objects_of("", "cast") == objects_of("[]", "cast") == []
