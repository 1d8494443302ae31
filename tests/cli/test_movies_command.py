"""The command `cineclub movies`: films added, shown, changed, withdrawn and deleted in the database."""

import json

import psycopg
import pytest
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings

RONIN = (
    *("--title", "Ronin", "--year", "1998", "--genre", "Action", "--genre", "Thriller", "--runtime", "122"),
    *("--director", "John Frankenheimer", "--label", "collection=Heists", "--keyword", "car chase", "--tag", "a=b"),
    *("--cast", "Robert De Niro", "--cast", "Jean Reno", "--overview", "Five people.", "--imdb-id", "tt0122690"),
)


def document_of(home: Settings, movie_id: str) -> dict[str, object]:
    """Return a film as the command shows it as JSON."""
    shown = cineclub(home.home, "movies", "show", movie_id, "--json")
    assert shown.returncode == 0, shown.stderr
    document: dict[str, object] = json.loads(shown.stdout)
    return document


def test_a_film_is_added_changed_shown_withdrawn_and_deleted(connected: Settings) -> None:
    """What is not given of an existing film stays, and labels are replaced by kind."""
    home = connected.home
    added = cineclub(home, "movies", "add", "9", *RONIN)
    assert (added.returncode, added.stdout) == (0, "film 9 is added\n"), added.stderr
    assert cineclub(home, "movies", "add", "9", *RONIN).stdout == "film 9 is as it was before\n"
    before = document_of(connected, "9")
    assert before["labels"] == {
        "director": ["John Frankenheimer"],
        "cast": ["Robert De Niro", "Jean Reno"],
        "keyword": ["car chase"],
        "tag": ["a=b"],
        "collection": ["Heists"],
    }
    changed = cineclub(home, "movies", "add", "9", "--runtime", "121", "--keyword", "heist", "--label", "collection=")
    assert changed.stdout == "film 9 is changed\n"
    labels = {kind: names for kind, names in dict(before["labels"]).items() if kind != "collection"}  # type: ignore[call-overload]
    after = document_of(connected, "9")
    assert after == {**before, "runtime_minutes": 121, "labels": {**labels, "keyword": ["heist"]}}
    table = cineclub(home, "movies", "show", "9").stdout
    assert all(word in table for word in ("Ronin", "1998", "Action, Thriller", "Jean Reno", "121 min", "Five people."))
    assert max(len(line) for line in table.splitlines()) <= COLUMNS
    assert cineclub(home, "movies", "remove", "9", "--withdraw").stdout == "film 9 is withdrawn\n"
    assert document_of(connected, "9") == {**after, "available": False}
    assert cineclub(home, "movies", "add", "9", "--available").stdout == "film 9 is changed\n"
    assert document_of(connected, "9") == after
    assert cineclub(home, "movies", "remove", "9").stdout == "film 9 is deleted\n"
    assert cineclub(home, "movies", "show", "9").returncode == 1


def test_a_film_that_people_rated_is_withdrawn_and_not_deleted(connected: Settings) -> None:
    """The refusal names the command that withdraws it; the number of ratings is shown."""
    assert cineclub(connected.home, "movies", "add", "10", "--title", "Heat").returncode == 0
    with psycopg.connect(storage.database_url(connected)) as connection:
        connection.execute(
            "INSERT INTO cineclub.catalogue"
            " (scale_lowest, scale_highest, movie_ids_are_integers, user_ids_are_integers)"
            " VALUES (0.5, 5, true, true) ON CONFLICT DO NOTHING"
        )
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('1')")
        connection.execute(
            "INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at)"
            " SELECT u.id, m.id, 4, now() FROM cineclub.users u, cineclub.movies m WHERE m.external_id = '10'"
        )
    refused = cineclub(connected.home, "movies", "remove", "10")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "cineclub movies remove 10 --withdraw" in " ".join(refused.stderr.split())
    document = document_of(connected, "10")
    assert (document["movie_id"], document["n_ratings"], document["available"]) == (10, 1, True)
    text = cineclub(connected.home, "movies", "add", "tt1", "--title", "Ronin")
    assert (text.returncode, "ids_become_text" in " ".join(text.stderr.split())) == (1, True)
    assert cineclub(connected.home, "movies", "add", "tt1", "--title", "Ronin", "--ids-become-text").returncode == 0
    assert document_of(connected, "10")["movie_id"] == "10"


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["add", "77"], 1, "there is no film 77 yet: --title is needed to add it"),
        (["add", "77", "--title", " "], 1, "title String should have at least 1 character"),
        (["add", "77", "--title", "x", "--year", "1492"], 1, "year must be an integer from 1800 to 2200"),
        (["add", "77", "--title", "x", "--runtime", "0"], 1, "runtime_minutes must be an integer from 1 to 100000"),
        (["add", "77", "--title", "x", "--label", "Director=x"], 1, "a kind of labels is 1 to 30 small letters"),
        (["add", "77", "--title", "x", "--label", "genre=Drama"], 1, "give genres as genres"),
        (["add", "77", "--title", "x", "--label", "Michael Mann"], 2, "write KIND=NAME"),
        (["add", "", "--title", "x"], 2, "must be text of 1 to 256 characters"),
        (["show", "77"], 1, "there is no film 77: cineclub movies add 77 --title TITLE adds it"),
        (["remove", "77"], 1, "there is no film 77"),
        (["remove", "77", "--withdraw"], 1, "there is no film 77"),
    ],
)
def test_errors_are_one_sentence(connected: Settings, arguments: list[str], status: int, sentence: str) -> None:
    """Without a traceback, and nothing is written."""
    shown = cineclub(connected.home, "movies", *arguments)
    assert shown.returncode == status
    assert sentence in " ".join(shown.stderr.replace("│", " ").split())
    assert "Traceback" not in shown.stderr
    assert shown.stdout == ""


def test_films_of_the_owners_views_are_changed_there(connected: Settings) -> None:
    """They are shown, and every change is refused with the reason."""
    with psycopg.connect(storage.database_url(connected)) as connection:
        connection.execute(
            "CREATE SCHEMA own; CREATE VIEW own.movies AS SELECT 1 AS movie_id, 'Heat'::text AS title, 1995 AS year,"
            " ARRAY['Crime'] AS genres, NULL::text AS imdb_id, NULL::text AS tmdb_id;"
            "CREATE VIEW own.ratings AS SELECT 1 AS user_id, 1 AS movie_id, 4.0 AS rating, now() AS rated_at;"
            "CREATE VIEW own.rating_scale AS SELECT 0.5 AS lowest, 5.0 AS highest"
        )
    own = {"CINECLUB_SOURCE": "external", "CINECLUB_EXTERNAL_SCHEMA": "own"}
    shown = cineclub(connected.home, "movies", "show", "1", **own)
    assert "Heat" in shown.stdout, shown.stderr
    for arguments in (("add", "1", "--year", "1996"), ("remove", "1"), ("remove", "1", "--withdraw")):
        refused = cineclub(connected.home, "movies", *arguments, **own)
        assert refused.returncode == 1
        assert "films come from your own views (CINECLUB_SOURCE=external)" in " ".join(refused.stderr.split())
