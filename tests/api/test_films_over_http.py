"""Films added, changed, withdrawn and deleted over HTTP, and what the next requests make of them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, N_MOVIES, Artifact, Service, error_of, eventually, promote, running

pytestmark = pytest.mark.anyio

NEW_ID = 9
EVEN_ID, ODD_ID = FIRST_EXTERNAL_ID + 3, FIRST_EXTERNAL_ID + 4
RONIN: dict[str, Any] = {
    "title": "Ronin",
    "year": 1998,
    "genres": ["Thriller"],
    "labels": {"director": ["John Frankenheimer"], "keyword": ["heist", {"name": "car chase", "weight": 0.5}]},
    "runtime_minutes": 122,
    "overview": "Five people and a briefcase.",
}
A_SECOND = 1.0
OWN_VIEWS = """
CREATE SCHEMA source;
CREATE VIEW source.movies AS
SELECT external_id::int AS movie_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies;
CREATE VIEW source.ratings AS
SELECT u.external_id::int AS user_id, m.external_id::int AS movie_id, rating, rated_at
FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id;
CREATE VIEW source.rating_scale AS SELECT 0.5 AS lowest, 5.0 AS highest;
"""


@pytest.fixture
async def labelled(filled_url: str, artifacts: Callable[[str], Artifact], home: Path) -> Any:
    """The application with a model; a director made the even films of the small catalogue, another the odd ones."""
    with psycopg.connect(filled_url) as connection:
        connection.execute(
            "UPDATE cineclub.movies SET labels = jsonb_build_object("
            "'director', jsonb_build_array(CASE id % 2 WHEN 0 THEN 'John Frankenheimer' ELSE 'Agnès Varda' END),"
            "'keyword', jsonb_build_array(CASE id % 2 WHEN 0 THEN 'heist' ELSE 'beach' END))"
        )
    promote(filled_url, 1, artifacts("slist"))
    async with running(filled_url, home) as started:
        yield started


async def ids_by_title(service: Service, title: str) -> list[Any]:
    """Return the ids of the films with about this title."""
    response = await service.client.get("/movies/", params={"search": title})
    return [movie["movie_id"] for movie in response.json()["movies"]]


async def recommended(service: Service, liked: int, top_n: int = 10, **filters: Any) -> dict[Any, dict[str, Any]]:
    """Return the list of somebody who likes a film and its neighbours but one, by film."""
    ratings = [{"movie_id": liked + 2 * nth, "rating": 5} for nth in range(4)]
    body = {"ratings": [*ratings, {"movie_id": liked + 1, "rating": 1}], "top_n": top_n, **filters}
    response = await service.client.post("/predict/", json=body)
    assert response.status_code == 200, response.text
    return {item["movie_id"]: item for item in response.json()["recommendations"]}


async def test_a_new_film_is_found_similar_and_recommended_within_a_second(labelled: Service) -> None:
    """To somebody who likes such films, in a list of ten, with what speaks for it; no training runs."""
    client = labelled.client
    response = await client.put(f"/movies/{NEW_ID}", json=RONIN)
    added_at = time.monotonic()
    assert response.status_code == 200, response.text
    keywords = ["heist", {"name": "car chase", "weight": 0.5, "since": None}]
    assert response.json() == {
        "movie_id": NEW_ID,
        "imdb_id": None,
        "tmdb_id": None,
        "available": True,
        **RONIN,
        "labels": {"director": ["John Frankenheimer"], "keyword": keywords},
    }

    async def is_everywhere() -> bool:
        similar = await client.get(f"/movies/{NEW_ID}/similar")
        is_similar = similar.status_code == 200 and len(similar.json()["movies"]) == 10
        return (
            is_similar
            and await ids_by_title(labelled, "ronin") == [NEW_ID]
            and NEW_ID in await recommended(labelled, EVEN_ID)
        )

    await eventually(is_everywhere)
    assert time.monotonic() - added_at < A_SECOND
    similar = (await client.get(f"/movies/{NEW_ID}/similar")).json()
    assert similar["strategy"] == "attributes"
    assert all(movie["movie_id"] % 2 == EVEN_ID % 2 for movie in similar["movies"])
    shared = [{"kind": "director", "name": "John Frankenheimer"}, {"kind": "keyword", "name": "heist"}]
    assert similar["movies"][0]["similar_to"] == {"movie_id": NEW_ID, "title": "Ronin", "shared": shared}
    new = (await recommended(labelled, EVEN_ID))[NEW_ID]
    assert new["similar_to"]["shared"] == shared
    assert new["similar_to"]["movie_id"] % 2 == EVEN_ID % 2
    assert new["reasons"]
    assert new["reasons"][0]["movie_id"] == new["similar_to"]["movie_id"]
    assert NEW_ID not in await recommended(labelled, ODD_ID)


async def test_a_new_film_is_similar_to_those_that_were_learned(labelled: Service) -> None:
    """The list of similar films of a learned one holds it, with what they share."""
    await labelled.client.put(f"/movies/{NEW_ID}", json=RONIN)

    async def is_similar() -> bool:
        movies = (await labelled.client.get(f"/movies/{EVEN_ID}/similar")).json()["movies"]
        return NEW_ID in [movie["movie_id"] for movie in movies]

    await eventually(is_similar)


async def test_films_are_written_in_one_request_all_or_none(service: Service) -> None:
    """To send the same again changes nothing; a changed film counts as changed, and what is not given is gone."""
    movies = [
        {"movie_id": 5000 + nth, "title": f"Film {nth}", "genres": ["Drama"], "year": 2000} for nth in range(1000)
    ]
    client = service.client
    assert (await client.post("/movies/", json=movies)).json() == {"added": 1000, "changed": 0, "unchanged": 0}
    assert (await client.post("/movies/", json=movies)).json() == {"added": 0, "changed": 0, "unchanged": 1000}
    changed = [{"movie_id": 5000, "title": "Film 0"}, movies[1], {"movie_id": 7000, "title": "One more"}]
    assert (await client.post("/movies/", json=changed)).json() == {"added": 1, "changed": 1, "unchanged": 1}
    assert (await client.get("/movies/5000")).json()["year"] is None
    single = {"movie_id": 7001, "title": "Alone"}
    assert (await client.post("/movies/", json=single)).json() == {"added": 1, "changed": 0, "unchanged": 0}
    refused = await client.post("/movies/", json=[{"movie_id": 8000, "title": "Good"}, {"movie_id": 8001, "title": ""}])
    assert refused.status_code == 422
    assert (await client.get("/movies/8000")).status_code == 404
    assert (await client.post("/movies/", json=[])).status_code == 422
    assert (await client.post("/movies/", json=[*movies, single])).status_code == 422


@pytest.mark.parametrize(
    ("fields", "place", "sentence"),
    [
        ({"title": "   "}, "title", "at least 1 character"),
        ({"title": None}, "title", "string"),
        ({"year": 1492}, "year", "from 1800 to 2200"),
        ({"runtime_minutes": 0}, "runtime_minutes", "from 1 to 100000"),
        ({"labels": {"Director": ["Michael Mann"]}}, "body", "small letters"),
        ({"labels": {"genre": ["Drama"]}}, "body", "give genres as genres"),
        ({"labels": {"keyword": ["\x01\x02"]}}, "body", "must have a letter"),
        ({"labels": {"keyword": ["a\x00b"]}}, "keyword", "NUL"),
        ({"labels": {"keyword": [{"name": "heist", "weight": 2}]}}, "weight", "above 0, at most 1"),
        ({"labels": {"keyword": [{"name": "heist", "since": "2999-01-01T00:00:00Z"}]}}, "since", "until now"),
        ({"labels": {"keyword": [f"word {nth}" for nth in range(10_000)]}}, "body", "at most 1000 of one film"),
        ({"available": "no"}, "available", "boolean"),
        ({"director": "Michael Mann"}, "director", "is not a field"),
    ],
)
async def test_what_is_no_film_is_refused_with_the_reason(
    service: Service, fields: dict[str, Any], place: str, sentence: str
) -> None:
    """Nothing is written."""
    response = await service.client.put(f"/movies/{NEW_ID}", json={**RONIN, **fields})
    assert response.status_code == 422, response.text
    assert place in response.text
    assert sentence in response.text
    assert (await service.client.get(f"/movies/{NEW_ID}")).status_code == 404


async def test_labels_of_any_alphabet_and_of_several_kinds_are_kept(labelled: Service) -> None:
    """Spellings of one label are one, kinds are not mixed, and HTML is text."""
    labels = {
        "director": ["黒澤 明", " 黒澤  明 ", "JOHN frankenheimer"],
        "keyword": ["heist", "HEIST", "<script>alert(1)</script>", "a\tb"],
        "mood": ["heist"],
    }
    response = await labelled.client.put(f"/movies/{NEW_ID}", json={"title": "七人の侍", "labels": labels})
    assert response.json()["labels"] == {
        "director": ["黒澤 明", "JOHN frankenheimer"],
        "keyword": ["heist", "<script>alert(1)</script>", "a b"],
        "mood": ["heist"],
    }

    async def has_similar() -> bool:
        return (await labelled.client.get(f"/movies/{NEW_ID}/similar")).status_code == 200

    await eventually(has_similar)
    similar = (await labelled.client.get(f"/movies/{NEW_ID}/similar")).json()["movies"]
    assert all(movie["movie_id"] % 2 == EVEN_ID % 2 for movie in similar)


async def test_a_film_without_attributes_has_popular_films_and_is_found(service: Service) -> None:
    """Nothing speaks for it, so it is last where there is room for all."""
    assert (await service.client.put(f"/movies/{NEW_ID}", json={"title": "Nothing known"})).status_code == 200

    async def is_last() -> bool:
        movies = list(await recommended(service, EVEN_ID, top_n=100))
        return movies[-1] == NEW_ID

    await eventually(is_last)
    assert (await service.client.get(f"/movies/{NEW_ID}/similar")).json()["strategy"] == "popular"


async def test_a_withdrawn_film_is_in_no_list_until_it_is_back(service: Service) -> None:
    """Neither in lists, nor popular, nor similar; its ratings and its page stay."""
    client = service.client
    movie = (await client.get(f"/movies/{EVEN_ID + 8}")).json()
    body = {key: movie[key] for key in ("title", "year", "genres")}

    async def is_anywhere() -> bool:
        popular = (await client.get("/movies/popular", params={"limit": 100})).json()["movies"]
        similar = (await client.get(f"/movies/{EVEN_ID}/similar", params={"limit": 100})).json()["movies"]
        lists = [*popular, *similar, *(await recommended(service, EVEN_ID, top_n=100, include_seen=True)).values()]
        return EVEN_ID + 8 in {item["movie_id"] for item in lists}

    async def is_nowhere() -> bool:
        return not await is_anywhere()

    assert await is_anywhere()
    assert (await client.put(f"/movies/{EVEN_ID + 8}", json={**body, "available": False})).status_code == 200
    await eventually(is_nowhere)
    assert (await client.get(f"/movies/{EVEN_ID + 8}")).json()["available"] is False
    assert (await client.get(f"/movies/{EVEN_ID + 8}/similar")).status_code == 200
    assert (await client.put(f"/movies/{EVEN_ID + 8}", json=body)).status_code == 200
    await eventually(is_anywhere)


async def test_a_film_that_people_rated_is_not_deleted(service: Service) -> None:
    """The message says how to withdraw it; one that nobody rated is gone everywhere."""
    client = service.client
    response = await client.delete(f"/movies/{EVEN_ID}")
    assert response.status_code == 409
    assert "available false" in error_of(response)["message"]
    await client.put(f"/movies/{NEW_ID}", json=RONIN)

    async def is_found() -> bool:
        return await ids_by_title(service, "ronin") == [NEW_ID]

    await eventually(is_found)
    assert (await client.delete(f"/movies/{NEW_ID}")).status_code == 204

    async def is_gone() -> bool:
        return await ids_by_title(service, "ronin") == [] and NEW_ID not in await recommended(
            service, EVEN_ID, top_n=100
        )

    await eventually(is_gone)
    assert (await client.delete(f"/movies/{NEW_ID}")).status_code == 404


async def test_the_first_id_that_is_no_integer_is_said_before_it_is_done(service: Service) -> None:
    """Every response would write ids as text; with the statement it is done, and later ones need none."""
    client = service.client
    response = await client.put("/movies/tt0122690", json=RONIN)
    assert response.status_code == 409
    assert "ids_become_text=true" in error_of(response)["message"]
    assert (await ids_by_title(service, "film 7"))[:1] == [FIRST_EXTERNAL_ID + 6]
    response = await client.put("/movies/tt0122690", params={"ids_become_text": True}, json=RONIN)
    assert response.status_code == 200
    assert response.json()["movie_id"] == "tt0122690"

    async def is_text() -> bool:
        return (await ids_by_title(service, "film 7"))[:1] == [str(FIRST_EXTERNAL_ID + 6)]

    await eventually(is_text)
    assert (await client.put("/movies/a/b", json=RONIN)).json()["movie_id"] == "a/b"


async def test_films_can_be_added_before_the_first_rating(empty: Service) -> None:
    """They are found; text ids need no statement where there is no id yet."""
    assert (await empty.client.put("/movies/first", json=RONIN)).status_code == 200

    async def is_found() -> bool:
        return await ids_by_title(empty, "ronin") == ["first"]

    await eventually(is_found)


async def test_films_of_the_owners_views_are_changed_there(filled_url: str, home: Path) -> None:
    """The refusal says so."""
    with psycopg.connect(filled_url) as connection:
        connection.execute(OWN_VIEWS)
    async with running(filled_url, home, source="external", external_schema="source") as service:
        for response in (
            await service.client.put(f"/movies/{NEW_ID}", json=RONIN),
            await service.client.delete(f"/movies/{EVEN_ID}"),
        ):
            assert response.status_code == 409
            assert "your own views" in error_of(response)["message"]


async def test_every_film_of_the_catalogue_can_be_recommended(labelled: Service) -> None:
    """Those that are added in one request too, each once."""
    movies = [{"movie_id": 5000 + nth, **RONIN, "title": f"Ronin {nth}"} for nth in range(20)]
    await labelled.client.post("/movies/", json=movies)

    async def are_all_listed() -> bool:
        return len(await recommended(labelled, EVEN_ID, top_n=100, include_seen=True)) == N_MOVIES + 20

    await eventually(are_all_listed)


async def test_paths_of_lists_are_no_films(service: Service) -> None:
    """An encoded slash belongs to an id."""
    for path in ("/movies/", "/movies/popular", f"/movies/{EVEN_ID}/similar"):
        for method in ("PUT", "DELETE"):
            response = await service.client.request(method, path, json=RONIN)
            assert response.status_code == 405, (method, path)
            assert not {"PUT", "DELETE"} & set(response.headers["allow"].split(", "))
    body = {"params": {"ids_become_text": True}, "json": RONIN}
    assert (await service.client.put(f"/movies/{EVEN_ID}%2Fsimilar", **body)).json()["movie_id"] == f"{EVEN_ID}/similar"


async def test_a_withdrawn_film_is_not_popular_without_a_model_either(untrained: Service) -> None:
    """The list of popular films in place of a model leaves it out."""

    async def popular_ids() -> set[int]:
        response = await untrained.client.post("/predict/", json={"ratings": [], "top_n": 100})
        return {item["movie_id"] for item in response.json()["recommendations"]}

    body = {"title": "Film 4", "genres": ["Drama"], "year": 1984, "available": False}
    assert (await untrained.client.put(f"/movies/{EVEN_ID}", json=body)).status_code == 200
    assert len(await popular_ids()) == N_MOVIES - 1
    assert EVEN_ID not in await popular_ids()
