"""Labels, runtime, overview and availability of films reach the database, an export, a backup, and come back."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cineclub.adapters.files import open_movies, open_source, write_rejects
from cineclub.adapters.postgres.backup import backup
from cineclub.adapters.postgres.exporting import export_ratings
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.adapters.postgres.migrate import migrate
from cineclub.domain.errors import Conflict, InvalidInput
from cineclub.flows.importing import ImportReport, import_movies, import_ratings
from whole_state import fill, restored, rows_of

ATTRIBUTES = "SELECT external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, overview, available"
LABELS = {
    "director": ["Michael Mann", "宮崎 駿"],
    "tag": [
        {"name": 'a "quoted", tag', "weight": 0.3333, "since": "2019-05-01T10:11:12.123456+00:00"},
        {"name": "noir", "weight": 0.0001},
    ],
    "mood": ["cold"],
}
OVERVIEW = ' Line one,\r\n"line" two;\n12,true,90,,{}\n\nlast — ü\x1f '


def attributes_of(url: str) -> dict[str, dict[str, Any]]:
    """Everything that is known of each film, by id."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute(f"{ATTRIBUTES} FROM cineclub.movies ORDER BY id".encode()).fetchall()
    return {row["external_id"]: row for row in rows}


def write_release(folder: Path, tags: str = "1,10,Heist,100000000\n2,10,heist,50000000\n2,10,slow,100000000\n") -> Path:
    """Write a csv release with tags."""
    folder.mkdir(exist_ok=True)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,10,4,100\n2,11,3,200\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n10,Heat (1995),Crime\n11,Ronin (1998),Action\n")
    (folder / "tags.csv").write_text(f"userId,movieId,tag,timestamp\n{tags}")
    return folder


def run(url: str, path: Path, **conditions: bool) -> ImportReport:
    """Import ratings of a path."""
    target, reject = PostgresRatingImport(url), partial(write_rejects, path.parent / "rejects.csv")
    return import_ratings(open_source(path), target.scale(), target.write, reject, **conditions)


def run_movies(url: str, path: Path, **conditions: bool) -> ImportReport:
    """Import a file of films alone."""
    target, reject = PostgresRatingImport(url), partial(write_rejects, path.parent / "rejects.csv")
    return import_movies(open_movies(path), target.scale(), target.write, reject, **conditions)


def set_attributes(url: str) -> None:
    """Give one film everything, and withdraw another one."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE cineclub.movies SET labels = %s, runtime_minutes = 170, overview = %s WHERE external_id = '10'",
            (Jsonb(LABELS), OVERVIEW),
        )
        connection.execute("UPDATE cineclub.movies SET available = false WHERE external_id = '11'")


def test_tags_are_labels_without_their_users(database_url: str, tmp_path: Path) -> None:
    """The report counts labels and films; a second import changes nothing; nobody who tagged becomes a user."""
    release = write_release(tmp_path / "r", "8,10,Heist,100000000\n9,10,heist,50000000\n9,10,slow,100000000\n")
    first, second = run(database_url, release), run(database_url, release)
    assert (first.n_labels, first.counts.n_new_movies, first.counts.n_changed_movies) == (2, 2, 0)
    assert (second.counts.n_new_movies, second.counts.n_changed_movies) == (0, 0)
    assert attributes_of(database_url)["10"]["labels"] == {
        "tag": [
            {"name": "Heist", "since": "1971-08-02T16:53:20+00:00"},
            {"name": "slow", "since": "1973-03-03T09:46:40+00:00", "weight": 0.5},
        ]
    }
    with psycopg.connect(database_url) as connection:
        users = connection.execute("SELECT array_agg(external_id ORDER BY id) FROM cineclub.users").fetchone()
    assert users == (["1", "2"],)


def test_bad_tags_are_bad_rows(database_url: str, tmp_path: Path) -> None:
    """They are counted and in the rejects file; with --strict nothing is written."""
    release = write_release(tmp_path / "r", "1,10,Heist,100000000\n1,99,Heist,100000000\n")
    with pytest.raises(InvalidInput, match=r"tags\.csv line 3"):
        run(database_url, release, strict=True)
    assert attributes_of(database_url) == {}
    report = run(database_url, release)
    assert (report.n_read, report.n_rejected, report.n_labels) == (2, 1, 1)
    assert "tags.csv,3,the film is in no other file" in (tmp_path / "rejects.csv").read_text()


def test_films_come_alone_where_ratings_are(database_url: str, tmp_path: Path) -> None:
    """Kinds of labels and values that the file lacks stay; unrated films are added; ratings are not touched."""
    table = tmp_path / "films.csv"
    table.write_text("movie_id,director,runtime_minutes,available\n10,Michael Mann,170,false\nnew,,,\n11,,x,\n")
    with pytest.raises(InvalidInput, match="there are no ratings yet"):
        run_movies(database_url, table)
    run(database_url, write_release(tmp_path / "r"))
    before = attributes_of(database_url)
    report = run_movies(database_url, table)
    assert (report.n_read, report.n_rejected, report.n_labels) == (0, 1, 1)
    assert (report.counts.n_new_movies, report.counts.n_changed_movies, report.counts.n_unchanged) == (1, 1, 0)
    after = attributes_of(database_url)
    assert after["10"] == {
        **before["10"],
        "labels": {**before["10"]["labels"], "director": ["Michael Mann"]},
        "runtime_minutes": 170,
        "available": False,
    }
    assert after["11"] == before["11"]
    assert (after["new"]["title"], after["new"]["available"]) == ("new", True)
    assert run_movies(database_url, table).counts.n_changed_movies == 0
    with psycopg.connect(database_url) as connection:
        query = "SELECT movie_ids_are_integers, user_ids_are_integers, holds_demo FROM cineclub.catalogue"
        assert connection.execute(query.encode()).fetchall() == [(False, True, False)]


def test_bad_films_alone_are_refused(database_url: str, tmp_path: Path) -> None:
    """A file without a valid film, a bad row and --strict, and a demo that nobody stated."""
    run(database_url, write_release(tmp_path / "r"))
    table = tmp_path / "films.csv"
    table.write_text("movie_id,year\n10,soon\n")
    with pytest.raises(InvalidInput, match="1 bad rows"):
        run_movies(database_url, table)
    table.write_text("movie_id,year\n10,soon\n11,1998\n")
    with pytest.raises(InvalidInput, match="the year is no number"):
        run_movies(database_url, table, strict=True)
    with pytest.raises(Conflict, match="--beside-demo"):
        run_movies(database_url, table, mixes_with_demo=True)
    table.write_text("movie_id,year\n")
    with pytest.raises(InvalidInput, match="the file holds no film"):
        run_movies(database_url, table)


def test_an_export_brings_all_attributes_back(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    """Labels with weights and dates, runtime, overview and availability are equal after an export and an import."""
    run(database_url, write_release(tmp_path / "r"))
    set_attributes(database_url)
    folder = tmp_path / "export"
    export_ratings(database_url, folder, lambda _fraction, _name: None)
    header, *_ = (folder / "attributes.csv").read_text().splitlines()
    assert header == "movieId,available,runtimeMinutes,overview,labels"
    again = run(database_url, folder)
    assert (again.counts.n_changed_movies, again.n_rejected, again.n_labels) == (0, 0, 5)
    migrate(empty_database_url)
    assert run(empty_database_url, folder).n_rejected == 0
    assert attributes_of(empty_database_url) == attributes_of(database_url)
    assert attributes_of(empty_database_url)["10"]["labels"] == LABELS


def test_the_largest_attributes_come_back(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    """A thousand long labels and an overview of 10,000 characters that all need escapes are one row of an export."""
    run(database_url, write_release(tmp_path / "r"))
    labels = {"tag": [{"name": f"{nth:04}" + '"' * 196, "weight": 0.5} for nth in range(1000)]}
    with psycopg.connect(database_url) as connection:
        values = {"labels": Jsonb(labels), "overview": '"\n' * 5000}
        connection.execute("UPDATE cineclub.movies SET labels = %(labels)s, overview = %(overview)s", values)
    export_ratings(database_url, tmp_path / "export", lambda _fraction, _name: None)
    migrate(empty_database_url)
    assert run(empty_database_url, tmp_path / "export").n_rejected == 0
    assert attributes_of(empty_database_url) == attributes_of(database_url)


def test_what_postgresql_cannot_store_is_left_out(database_url: str, tmp_path: Path) -> None:
    """NUL characters and halves of characters, which escapes in JSON and in TMDB's lists can hold."""
    release = write_release(tmp_path / "r")
    header = "movieId,available,runtimeMinutes,overview,labels\n"
    labels = '"{""tag"": [""a\\u0000b\\ud800c""]}"'
    (release / "attributes.csv").write_text(header + '10,t,,"""x\\u0000y\\ud800z""",' + labels + "\n")
    names = "\"[{'name': 'A\\x00ction\\ud800'}, {'name': ''}]\""
    (release / "movies_metadata.csv").write_text(f"id,title,genres,production_companies\n12,Casino,{names},{names}\n")
    assert run(database_url, release).n_rejected == 0
    attributes = attributes_of(database_url)
    assert (attributes["10"]["overview"], attributes["10"]["labels"]["tag"][0]) == ("xy?z", "a b c")
    assert (attributes["12"]["genres"], attributes["12"]["labels"]) == (["Action?"], {"company": ["Action?"]})


def test_films_without_attributes_are_not_in_the_file(database_url: str, tmp_path: Path) -> None:
    """The file of attributes has the header alone then, and is read."""
    run(database_url, write_release(tmp_path / "r", ""))
    export_ratings(database_url, tmp_path / "export", lambda _fraction, _name: None)
    assert (tmp_path / "export" / "attributes.csv").read_text().count("\n") == 1
    assert run(database_url, tmp_path / "export").counts.n_changed_movies == 0


def test_a_backup_has_all_attributes(bench_database: str, empty_database_url: str, home: Path, tmp_path: Path) -> None:
    """Labels, runtime, overview and availability are restored as they were."""
    fill(bench_database, home / "old")
    set_attributes(bench_database)
    with psycopg.connect(bench_database) as connection:
        connection.execute("INSERT INTO cineclub.movies (external_id, title, available) VALUES ('11', 'Ronin', false)")
    backup(bench_database, home / "old", tmp_path / "all.backup")
    restored(tmp_path / "all.backup", empty_database_url, home / "new", replace=False)
    after = attributes_of(empty_database_url)
    assert after == attributes_of(bench_database)
    assert json.dumps(after["10"]["labels"], sort_keys=True) == json.dumps(LABELS, sort_keys=True)
    assert (after["10"]["overview"], after["10"]["runtime_minutes"]) == (OVERVIEW, 170)
    assert [after[name]["available"] for name in ("10", "11")] == [True, False]
    assert rows_of(empty_database_url)["cineclub.movies"] == rows_of(bench_database)["cineclub.movies"]
