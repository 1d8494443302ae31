"""Ratings read for a training: exact, in canonical order, from our tables or the owner's views."""

from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest

from cineclub.adapters.postgres import copy_stream
from cineclub.adapters.postgres.ratings import PostgresRatingStore
from cineclub.adapters.postgres.sessions import connect
from cineclub.domain.errors import InvalidInput, NotEnoughData, StorageUnavailable, TrainingCancelled
from cineclub.domain.ratings.log import RatingScale, Snapshot

CATALOGUE = "INSERT INTO cineclub.catalogue VALUES (true, 0.5, 5, true, true)"
N_GENERATED = 60_000


def run(database_url: str, *statements: str) -> None:
    """Run statements in order."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fill(database_url: str) -> None:
    """Insert 60,000 ratings of 300 users and 200 films in random order."""
    run(
        database_url,
        CATALOGUE,
        "INSERT INTO cineclub.movies (external_id, title, year, genres) "
        "SELECT i, 'film ' || i, 2000, '{Drama}' FROM generate_series(1, 200) i",
        "INSERT INTO cineclub.users (external_id) SELECT i FROM generate_series(1, 300) i",
        "INSERT INTO cineclub.ratings SELECT u, m, (1 + (u * m) % 10) / 2.0, "
        "timestamptz '1995-03-01 12:00:00.000001+00' + make_interval(secs => (u * m * 7919) % 100) "
        "FROM generate_series(1, 300) u, generate_series(1, 200) m ORDER BY md5((u * 1000 + m)::text)",
    )


def ignore(_: float) -> None:
    """Ignore progress."""


def load(database_url: str) -> Snapshot:
    """Return the snapshot of our own tables."""
    return PostgresRatingStore(database_url, "internal", "unused").load_snapshot(ignore)


def test_every_rating_arrives_in_canonical_order(database_url: str) -> None:
    """The arrays hold the rows of the table, sorted by user, time and film."""
    fill(database_url)

    snapshot = load(database_url)

    with connect(database_url) as connection:
        query = "SELECT *, (extract(epoch FROM rated_at) * 1000000)::bigint AS microseconds FROM cineclub.ratings"
        rows = connection.execute(f"{query} ORDER BY user_id, rated_at, movie_id".encode()).fetchall()
    log = snapshot.log
    assert len(log) == N_GENERATED
    assert log.user_ids.tolist() == [row["user_id"] for row in rows]
    assert log.movie_ids.tolist() == [row["movie_id"] for row in rows]
    assert log.ratings.tolist() == [row["rating"] for row in rows]
    assert log.rated_at.tolist() == [row["microseconds"] for row in rows]
    assert [str(column.dtype) for column in (log.user_ids, log.ratings, log.rated_at)] == ["int64", "float32", "int64"]
    assert log.scale == RatingScale(0.5, 5.0)
    assert (snapshot.movies[4].external_id, snapshot.movies[4].genres) == ("5", ("Drama",))


def test_the_identity_names_the_content(database_url: str) -> None:
    """Equal ratings have equal identities whatever their position; a changed rating has another."""
    fill(database_url)
    before = load(database_url).identity
    run(database_url, "UPDATE cineclub.ratings SET rating = rating WHERE user_id = 7")  # the rows move to the end
    moved = load(database_url).identity
    run(database_url, "UPDATE cineclub.ratings SET rating = 5.5 - rating WHERE user_id = 7 AND movie_id = 8")

    assert before.n_ratings == N_GENERATED
    assert before.newest_rated_at == datetime(1995, 3, 1, 12, 1, 39, 1, tzinfo=UTC)
    assert moved == before
    assert load(database_url).identity.content_sha256 != before.content_sha256


def test_an_encrypted_connection_gives_the_same(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted connection, read through libpq, gives the same arrays."""
    fill(database_url)
    direct = load(database_url)
    monkeypatch.setattr(copy_stream, "_is_encrypted", lambda _: True)

    assert load(database_url).identity == direct.identity


def test_progress_rises_to_the_end_and_may_stop_the_reading(database_url: str) -> None:
    """Progress is reported from block to block up to 1; an exception of the callback ends the reading."""
    fill(database_url)
    fractions: list[float] = []
    store = PostgresRatingStore(database_url, "internal", "unused")
    store.load_snapshot(fractions.append)

    def stop(_: float) -> None:
        message = "stopped"
        raise TrainingCancelled(message)

    with pytest.raises(TrainingCancelled):
        store.load_snapshot(stop)
    assert len(fractions) > 1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_an_empty_database_says_what_to_do(database_url: str) -> None:
    """Without ratings the error names the command that helps."""
    with pytest.raises(NotEnoughData, match="cineclub import"):
        load(database_url)
    run(database_url, CATALOGUE)
    with pytest.raises(NotEnoughData, match="cineclub import"):
        load(database_url)


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_refusal_in_the_middle_is_raised(
    database_url: str, monkeypatch: pytest.MonkeyPatch, *, is_encrypted: bool
) -> None:
    """An error of the server during the copy is raised with its message."""
    monkeypatch.setattr(copy_stream, "_is_encrypted", lambda _: is_encrypted)
    dividing = b"COPY (SELECT i::int8, i::int8, (1 / (50000 - i))::real, now() FROM generate_series(1, 60000) i)"

    with closing(connect(database_url)) as connection, pytest.raises(StorageUnavailable, match="division by zero"):
        copy_stream.read_ratings(connection, dividing + b" TO STDOUT (FORMAT BINARY)", N_GENERATED, ignore)


def test_a_server_that_is_away_is_named() -> None:
    """An unreachable address is named in the error."""
    with pytest.raises(StorageUnavailable, match="cineclub doctor"):
        load("postgresql://nobody@127.0.0.1:1/nothing")


def test_the_facts_are_counted(database_url: str) -> None:
    """The counts are exact and the scale is the catalogue's; an empty database has none."""
    store = PostgresRatingStore(database_url, "internal", "unused")
    nothing = store.facts()
    fill(database_url)
    facts = store.facts()

    assert (nothing.n_users, nothing.n_movies, nothing.n_ratings, nothing.scale) == (0, 0, 0, None)
    assert (facts.n_users, facts.n_movies, facts.n_ratings, facts.scale) == (300, 200, 60_000, RatingScale(0.5, 5.0))
    assert facts.is_writable
    assert store.contract_findings() == []


def make_views(database_url: str) -> None:
    """Define the three views over an owner's tables: films by slug, members by number, points from 1 to 10."""
    run(
        database_url,
        "CREATE TABLE film (slug text, name text)",
        "CREATE TABLE vote (member int, film text, points numeric, cast_at timestamptz)",
        "INSERT INTO film SELECT 'film-' || i, 'Film ' || i FROM generate_series(1, 5) i",
        "INSERT INTO vote SELECT u, 'film-' || m, (u + m) % 10 + 1, timestamptz '2020-01-01 00:00+00' "
        "+ u * interval '1s' FROM generate_series(11, 30) u, generate_series(1, 4) m",
        "CREATE SCHEMA cinema",
        "CREATE VIEW cinema.movies AS SELECT slug AS movie_id, name AS title, 1999 AS year, NULL::text[] AS genres, "
        "'tt1' AS imdb_id, NULL::text AS tmdb_id FROM film",
        "CREATE VIEW cinema.ratings AS SELECT member AS user_id, film AS movie_id, points AS rating, "
        "cast_at AS rated_at FROM vote",
        "CREATE VIEW cinema.rating_scale AS SELECT 1 AS lowest, 10 AS highest",
    )


def test_views_of_the_owner_are_read_under_our_ids(database_url: str) -> None:
    """Films and users get stable ids of ours; new texts and films are read before each training."""
    make_views(database_url)
    store = PostgresRatingStore(database_url, "external", "cinema")
    first = store.load_snapshot(ignore)
    run(
        database_url,
        "UPDATE film SET name = 'Renamed' WHERE slug = 'film-2'",
        "INSERT INTO film VALUES ('a-new-film', 'New')",
        "INSERT INTO vote VALUES (99, 'a-new-film', 10, '2021-01-01 00:00+00')",
    )
    second = store.load_snapshot(ignore)

    assert (len(first.log), len(second.log)) == (80, 81)
    assert first.log.scale == RatingScale(1.0, 10.0)
    assert {movie.external_id: movie.movie_id for movie in first.movies}.items() <= {
        movie.external_id: movie.movie_id for movie in second.movies
    }.items()
    assert [movie.title for movie in second.movies if movie.external_id in {"film-2", "a-new-film"}] == [
        "Renamed",
        "New",
    ]
    with connect(database_url) as connection:
        catalogue = connection.execute("SELECT * FROM cineclub.catalogue").fetchall()[0]
    assert (catalogue["movie_ids_are_integers"], catalogue["user_ids_are_integers"]) == (False, True)


WITH_ATTRIBUTES = """
DROP VIEW cinema.movies;
CREATE VIEW cinema.movies AS
SELECT slug AS movie_id, name AS title, 1999 AS year, NULL::text[] AS genres, NULL::text AS imdb_id,
    NULL::text AS tmdb_id, {attributes} FROM film
"""
ALL_ATTRIBUTES = """
jsonb_build_object('director', jsonb_build_array('Director of ' || name)) AS labels, 90::smallint AS runtime_minutes,
('About ' || name)::varchar AS overview, slug <> 'film-2' AS available
"""


def test_optional_columns_of_a_view_are_read(database_url: str) -> None:
    """Labels, runtime, overview and availability come along; without the columns they are unknown again."""
    make_views(database_url)
    store = PostgresRatingStore(database_url, "external", "cinema")
    query = "SELECT labels, runtime_minutes, overview, available FROM cineclub.movies WHERE external_id = 'film-2'"
    attributes = []
    for columns in (None, ALL_ATTRIBUTES, "NULL::jsonb AS labels, NULL::bigint AS runtime_minutes", "1 AS other"):
        if columns:
            run(database_url, WITH_ATTRIBUTES.format(attributes=columns))
        assert store.contract_findings() == []
        store.load_snapshot(ignore)
        with connect(database_url) as connection:
            attributes.append(tuple(connection.execute(query).fetchall()[0].values()))
    unknown = ({}, None, None, True)
    assert attributes == [unknown, ({"director": ["Director of Film 2"]}, 90, "About Film 2", False), unknown, unknown]


@pytest.mark.parametrize(
    ("columns", "finding"),
    [
        ("'{}' AS labels", r"cinema\.movies\.labels is text, not jsonb: cast it in the view"),
        ("'{}'::json AS labels", r"cinema\.movies\.labels is json, not jsonb: cast it in the view"),
        ("90.5 AS runtime_minutes", r"cinema\.movies\.runtime_minutes is numeric, not integer: cast it"),
        ("1 AS overview", r"cinema\.movies\.overview is integer, not text: cast it"),
        ("'yes' AS available", r"cinema\.movies\.available is text, not boolean: cast it"),
        ("'[]'::jsonb AS labels", r"cinema\.movies has 5 films whose labels are no JSON object: build them"),
    ],
)
def test_optional_columns_of_another_type_are_reported(database_url: str, columns: str, finding: str) -> None:
    """Each is reported with its fix, and a training refuses with the same sentence."""
    make_views(database_url)
    run(database_url, WITH_ATTRIBUTES.format(attributes=columns))
    store = PostgresRatingStore(database_url, "external", "cinema")
    assert len(store.contract_findings()) == 1
    with pytest.raises(InvalidInput, match=finding):
        store.load_snapshot(ignore)


def test_the_facts_of_views_are_counted(database_url: str) -> None:
    """The counts are those of the read-only views; before the views exist there are none."""
    store = PostgresRatingStore(database_url, "external", "cinema")
    nothing = store.facts()
    make_views(database_url)
    facts = store.facts()

    assert (nothing.n_ratings, nothing.scale) == (0, None)
    assert (facts.n_users, facts.n_movies, facts.n_ratings, facts.scale) == (20, 5, 80, RatingScale(1.0, 10.0))
    assert not facts.is_writable


def test_an_empty_view_says_what_is_missing(database_url: str) -> None:
    """The error of a training on empty views names the view."""
    make_views(database_url)
    run(database_url, "TRUNCATE vote")

    with pytest.raises(NotEnoughData, match=r"cinema\.ratings is empty"):
        PostgresRatingStore(database_url, "external", "cinema").load_snapshot(ignore)


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("DROP VIEW cinema.movies", r"the view cinema\.movies is missing: create it"),
        ("ALTER VIEW cinema.ratings RENAME rating TO stars", r"cinema\.ratings lacks the column rating: add it"),
        ("ALTER VIEW cinema.ratings RENAME COLUMN user_id TO x", r"cinema\.ratings lacks the column user_id"),
        (
            """
            DROP VIEW cinema.ratings;
            CREATE VIEW cinema.ratings AS SELECT 1 AS user_id, 2 AS movie_id, 3 AS rating, localtimestamp AS rated_at
            """,
            r"cinema\.ratings\.rated_at is timestamp without time zone, not timestamptz: cast it",
        ),
        ("UPDATE vote SET points = NULL WHERE member = 12", r"cinema\.ratings has 4 rows without rating"),
        ("UPDATE vote SET cast_at = NULL WHERE member = 12", r"4 rows whose rated_at is null or infinite"),
        ("UPDATE vote SET cast_at = 'infinity' WHERE member = 12", r"4 rows whose rated_at is null or infinite"),
        ("UPDATE vote SET points = 11 WHERE member = 12", r"4 ratings off the scale 1 to 10: correct"),
        ("UPDATE vote SET points = 'NaN' WHERE member = 12", r"4 ratings off the scale 1 to 10: correct"),
        ("INSERT INTO vote SELECT * FROM vote WHERE member < 13", r"repeats 8 pairs of user and film: keep the newest"),
        ("DELETE FROM film WHERE slug = 'film-3'", r"20 ratings of films that cinema\.movies lacks: add"),
        ("INSERT INTO film VALUES ('film-1', 'Again')", r"cinema\.movies repeats 1 movie_ids: one row a film"),
        ("INSERT INTO film VALUES ('film-6', NULL)", r"cinema\.movies has 1 films without a title"),
        (
            "CREATE OR REPLACE VIEW cinema.rating_scale AS SELECT 10 AS lowest, 1 AS highest",
            r"cinema\.rating_scale must have one row with finite lowest < highest",
        ),
    ],
)
def test_a_broken_contract_is_found_and_refused(database_url: str, change: str, finding: str) -> None:
    """Each fault of the views is reported with its fix, and a training refuses with the same sentence."""
    make_views(database_url)
    store = PostgresRatingStore(database_url, "external", "cinema")
    assert store.contract_findings() == []

    run(database_url, change)

    assert len(store.contract_findings()) == 1
    with pytest.raises(InvalidInput, match=finding):
        store.load_snapshot(ignore)
