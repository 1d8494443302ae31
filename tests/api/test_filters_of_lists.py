"""Filters of films in every list: recommended, popular, similar and searched."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_service import FIRST_EXTERNAL_ID, Artifact, Service, error_of, eventually, promote, running

pytestmark = pytest.mark.anyio

LABEL_FILMS = """
UPDATE cineclub.movies SET
    genres = CASE id % 3 WHEN 0 THEN ARRAY['Comedy'] ELSE ARRAY['Drama', 'Comedy'] END,
    labels = jsonb_build_object(
        'director', jsonb_build_array(CASE id % 4 WHEN 0 THEN 'John Frankenheimer' WHEN 1 THEN 'Agnès Varda'
                                                  WHEN 2 THEN 'Michael Mann' ELSE '黒澤 明' END),
        'keyword', jsonb_build_array('a:b', 'film ' || id % 3),
        'language', jsonb_build_array(CASE WHEN id % 5 = 0 THEN 'French' ELSE 'English' END)
    ),
    runtime_minutes = CASE WHEN id % 7 = 0 THEN NULL ELSE 80 + external_id::integer - 1001 END
"""


@pytest.fixture
async def labelled(filled_url: str, artifacts: Callable[[str], Artifact], home: Path) -> AsyncIterator[Service]:
    """The application with a model of the small catalogue, whose films have labels and runtimes."""
    with psycopg.connect(filled_url) as connection:
        connection.execute(LABEL_FILMS)
    promote(filled_url, 1, artifacts("slist"))
    async with running(filled_url, home) as started:
        yield started


ALL: dict[str, Any] = {"limit": 100}


async def popular(service: Service, **query: Any) -> list[dict[str, Any]]:
    """Return the popular films."""
    return await movies_of(service, "/movies/popular", **query)


async def movies_of(service: Service, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return the films of a list of the catalogue."""
    response = await service.client.get(path, params={**ALL, **query})
    assert response.status_code == 200, response.text
    movies: list[dict[str, Any]] = response.json()["movies"]
    return movies


async def recommended(service: Service, **filters: Any) -> set[Any]:
    """Return the ids of all films that are recommended with filters."""
    body = {"ratings": [{"movie_id": FIRST_EXTERNAL_ID, "rating": 5}], "include_seen": True, "top_n": 100, **filters}
    response = await service.client.post("/predict/", json=body)
    assert response.status_code == 200, response.text
    return {movie["movie_id"] for movie in response.json()["recommendations"]}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (
            {"labels": {"director": ["JOHN frankenheimer", " 黒澤  明"]}},
            "label=director:john Frankenheimer&label=director:黒澤 明",
        ),
        (
            {"labels": {"director": ["Agnès Varda"], "keyword": ["film 1", "film 2"]}},
            "label=director:Agnès Varda&label=keyword:film 1&label=keyword:film 2",
        ),
        ({"labels": {"keyword": ["a:b"]}, "languages": ["french"]}, "label=keyword:a:b&languages=French"),
        ({"exclude_labels": {"director": ["Michael Mann", "Nobody"]}}, "exclude_label=director:Michael Mann"),
        ({"languages": ["French"]}, "languages=FRENCH"),
        ({"runtime_from": 100, "runtime_to": 110}, "runtime_from=100&runtime_to=110"),
        ({"runtime_to": 90}, "runtime_to=90"),
        ({"year_from": 1990, "year_to": 2000}, "year_from=1990&year_to=2000"),
        ({"genres": ["drama"]}, "genres=Drama"),
        ({"exclude_genres": ["Drama"]}, "exclude_genres=drama"),
    ],
)
async def test_every_list_has_the_same_filters(labelled: Service, body: dict[str, Any], query: str) -> None:
    """Each lists the same films: those that meet the filters."""
    params = dict[str, list[str]]()
    for name, value in (part.split("=", 1) for part in query.split("&")):
        params.setdefault(name, []).append(value)
    wanted = await recommended(labelled, **body)
    everything = {movie["movie_id"]: movie for movie in await popular(labelled)}
    assert set() < wanted < set(everything)
    assert {movie["movie_id"] for movie in await popular(labelled, **params)} == wanted
    assert {movie["movie_id"] for movie in await movies_of(labelled, "/movies/", search="film", **params)} == wanted
    at = FIRST_EXTERNAL_ID + 3
    similar = {movie["movie_id"] for movie in await movies_of(labelled, f"/movies/{at}/similar", **params)}
    assert similar == wanted - {at}
    batch = await labelled.client.post(
        "/predict/batch", json={"user_ids": [1], "include_seen": True, "top_n": 100, **body}
    )
    assert {movie["movie_id"] for movie in batch.json()["answers"][0]["recommendations"]} == wanted


async def test_a_film_meets_the_filters_by_what_is_known_of_it(labelled: Service) -> None:
    """The labels, runtimes and languages of the listed films are those that were wanted."""
    movies = await popular(labelled, label="director:Michael Mann", runtime_to=110)
    assert movies
    assert {name for movie in movies for name in movie["labels"]["director"]} == {"Michael Mann"}
    assert max(movie["runtime_minutes"] for movie in movies) <= 110
    movies = await popular(labelled, languages="FRENCH")
    assert {name for movie in movies for name in movie["labels"]["language"]} == {"French"}


async def test_similar_films_by_attributes_have_the_filters_too(labelled: Service) -> None:
    """Of a film that no model has learned; where none is left the popular ones are listed."""
    ronin = {"title": "Ronin", "labels": {"director": ["John Frankenheimer"], "keyword": ["film 1"]}}
    assert (await labelled.client.put("/movies/9", json=ronin)).status_code == 200

    async def is_known() -> bool:
        return (await labelled.client.get("/movies/9/similar")).status_code == 200

    await eventually(is_known)
    response = await labelled.client.get("/movies/9/similar", params={"label": "director:john frankenheimer"})
    assert response.json()["strategy"] == "attributes"
    assert {movie["labels"]["director"][0] for movie in response.json()["movies"]} == {"John Frankenheimer"}
    query = {"exclude_label": ["director:John Frankenheimer", "keyword:film 1"]}
    response = await labelled.client.get("/movies/9/similar", params=query)
    assert response.json()["strategy"] == "popular"
    assert all(movie["labels"]["director"] != ["John Frankenheimer"] for movie in response.json()["movies"])


async def test_withdrawn_films_are_found_by_search_alone(labelled: Service) -> None:
    """Each says whether it is available; a search can be for one or the other."""
    body = {"title": "Film 5", "year": 1984, "genres": ["Drama"], "available": False}
    at = FIRST_EXTERNAL_ID + 4
    assert (await labelled.client.put(f"/movies/{at}", json=body)).status_code == 200

    async def is_withdrawn() -> bool:
        return at not in {movie["movie_id"] for movie in await popular(labelled)}

    await eventually(is_withdrawn)
    movies = await movies_of(labelled, "/movies/", search="film")
    assert {movie["movie_id"] for movie in movies if not movie["available"]} == {at}
    withdrawn = await movies_of(labelled, "/movies/", search="film", available=False)
    assert [movie["movie_id"] for movie in withdrawn] == [at]
    available = await movies_of(labelled, "/movies/", search="film", available=True)
    assert len(available) == len(movies) - 1
    assert at not in await recommended(labelled, genres=["Drama"])


async def test_one_genre_of_before_is_one_of_the_genres(labelled: Service) -> None:
    """``genre`` and ``genres`` together are films of at least one of them."""
    alone = await popular(labelled, genre="drama")
    assert alone == await popular(labelled, genres="Drama") == await popular(labelled, genre="DRAMA", genres="Drama")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"label": "director:Nobody"}, "no film has the director 'Nobody'"),
        ({"languages": "Klingon"}, "no film has the language 'Klingon'; there are english, french"),
        ({"label": "mood:calm"}, "no film has a label of the kind 'mood'; there are director, keyword, language"),
        ({"label": "Michael Mann"}, "label[0] must be a kind of labels, a colon and a name"),
        ({"label": "genre:Drama"}, "give genres as genres"),
        ({"exclude_label": "Director:x"}, "small letters"),
        ({"year_from": "199x"}, "year_from must be an integer from 1800 to 2200"),
        ({"runtime_to": 0}, "runtime_to must be an integer from 1 to 100000"),
        ({"genres": "Western"}, "no film has the genre 'Western'"),
    ],
)
async def test_filters_that_cannot_be_meant_are_refused(labelled: Service, query: dict[str, Any], message: str) -> None:
    """With the reason, by each route with a query."""
    for path in ("/movies/?search=film", "/movies/popular?limit=1", f"/movies/{FIRST_EXTERNAL_ID}/similar?limit=1"):
        separate = "&".join(f"{name}={value}" for name, value in query.items())
        response = await labelled.client.get(f"{path}&{separate}")
        assert response.status_code == 422, response.text
        assert message in error_of(response)["message"]


async def test_filters_hold_while_there_is_no_model(untrained: Service) -> None:
    """A wanted label that no film has is refused there too."""
    response = await untrained.client.post("/predict/", json={"user_id": 1, "labels": {"director": ["Michael Mann"]}})
    assert response.status_code == 422
    response = await untrained.client.post("/predict/", json={"user_id": 1, "exclude_labels": {"tag": ["x"]}})
    assert len(response.json()["recommendations"]) == 10
