"""The Python client, synchronous and asynchronous, against the real application."""

import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from small_service import Service

from cineclub.api.filters import FiltersIn
from cineclub.api.requests import FILTER_NAMES, filters_of
from cineclub.client import (
    AsyncClient,
    Client,
    GivenRatingIn,
    IdentifiedMovieIn,
    LabelIn,
    MovieIn,
    RatingRequest,
    RecommendationParams,
    ServiceError,
)
from cineclub.domain.recommend.filters import NO_FILTERS

pytestmark = pytest.mark.anyio

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"
SEEN_AT = datetime(2025, 5, 1, 20, 15, tzinfo=UTC)


@pytest.fixture
async def asynchronous(service: Service) -> AsyncIterator[AsyncClient]:
    """An asynchronous client of the application with EASE in production."""
    async with AsyncClient("http://localhost", transport=service.client._transport) as client:
        yield client


@pytest.fixture
def address(trained_url: str, home: Path) -> Iterator[str]:
    """The address of an API process with EASE in production."""
    [port] = free_ports(1)
    process = start_api(trained_url, home, port)
    try:
        wait_until_alive(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def methods_of(kind: type) -> dict[str, inspect.Signature]:
    """Return the public methods of a client with their signatures."""
    members = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(method) for name, method in members if not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    """Both clients have equal methods and signatures."""
    assert methods_of(Client) == methods_of(AsyncClient)
    assert {
        name for name, method in inspect.getmembers(AsyncClient, inspect.iscoroutinefunction) if name[0] != "_"
    } == set(methods_of(Client))


def test_every_filter_of_the_api_can_be_given() -> None:
    """The filters of the client and of the domain are those of the schema, with the same defaults."""
    assert set(RecommendationParams.__annotations__) == {*FiltersIn.model_fields, "top_n", "fresh"}
    assert {*FiltersIn.model_fields, "available"} == FILTER_NAMES  # of searches alone
    assert filters_of(FiltersIn(**FiltersIn().model_dump())) == NO_FILTERS


def test_the_client_imports_nothing_of_the_server() -> None:
    """Importing the client loads only httpx and the schemas."""
    code = "import sys, cineclub.client; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "httpx" in loaded
    assert not loaded & {
        "fastapi",
        "starlette",
        "numpy",
        "scipy",
        "numba",
        "mlflow",
        "psycopg",
        "pyarrow",
        "sqlalchemy",
    }


async def test_predictions_for_users_visitors_and_many(asynchronous: AsyncClient) -> None:
    """Responses are typed, and filters are applied."""
    known = await asynchronous.predict(2, top_n=3, exclude_movie_ids=[1002])
    assert known.strategy == "model"
    assert known.model is not None
    assert (known.model.name, len(known.recommendations)) == ("ease", 3)
    assert 1002 not in [recommendation.movie_id for recommendation in known.recommendations]
    visitor = await asynchronous.predict(ratings=[GivenRatingIn(movie_id=1002, rating=5)], year_from=1990)
    assert visitor.user_id is None
    assert len(visitor.recommendations) > 0
    assert all((recommendation.year or 0) >= 1990 for recommendation in visitor.recommendations)
    batch = await asynchronous.predict_batch([2, "3"], top_n=1, include_seen=True)
    assert [response.user_id for response in batch.answers] == [2, "3"]


async def test_ratings_are_written_read_and_taken_back(asynchronous: AsyncClient) -> None:
    """One rating or several, with and without a time; ids with characters special in URLs."""
    user = "a/b ?#%25"
    assert (await asynchronous.rate(user, 1001, 4.5, SEEN_AT)).written == 1
    assert (await asynchronous.rate_many([RatingRequest(user_id=user, movie_id=1002, rating=2)])).written == 1
    ratings = (await asynchronous.ratings_of(user, limit=5)).ratings
    assert {rating.movie.movie_id: rating.rating for rating in ratings} == {1001: 4.5, 1002: 2.0}
    assert SEEN_AT in [rating.rated_at for rating in ratings]
    await asynchronous.take_back(user, 1001)
    assert [rating.movie.movie_id for rating in (await asynchronous.ratings_of(user)).ratings] == [1002]
    assert (await asynchronous.erase(user)).n_ratings == 1


@pytest.mark.parametrize("user_id", [".", "..", "../movies", "%2e", "a//b", "a\nb", "a\n"])
async def test_an_id_of_dots_slashes_and_line_ends_stays_an_id(asynchronous: AsyncClient, user_id: str) -> None:
    """Such ids are never read as parts of the URL: their users can be rated, read and erased."""
    await asynchronous.rate(user_id, 1001, 4.5)
    history = await asynchronous.ratings_of(user_id)
    assert (history.user_id, len(history.ratings)) == (user_id, 1)
    await asynchronous.take_back(user_id, 1001)
    await asynchronous.rate(user_id, 1001, 4.5)
    assert (await asynchronous.erase(user_id)).n_ratings == 1


async def test_the_catalogue(asynchronous: AsyncClient) -> None:
    """Search, a film, similar films and popular films."""
    assert (await asynchronous.search("film 7", limit=1)).movies[0].title == "Film 7"
    assert (await asynchronous.movie(1007)).year == 1987
    assert len((await asynchronous.similar(1007, limit=2)).movies) == 2
    assert len((await asynchronous.popular(genre="Drama", limit=4)).movies) == 4
    assert {movie.year for movie in (await asynchronous.popular(year_from=1990, year_to=1991)).movies} == {1990, 1991}


async def test_films_are_added_and_deleted(asynchronous: AsyncClient) -> None:
    """One or several; a label may have a weight, and a filter finds it at once by its director."""
    heist = LabelIn(name="heist", weight=0.5)
    ronin = MovieIn(title="Ronin", labels={"director": ["John Frankenheimer"], "keyword": [heist]}, runtime_minutes=122)
    written = await asynchronous.put_movie("9", ronin)
    assert (written.title, written.labels["director"], written.available) == ("Ronin", ["John Frankenheimer"], True)
    seconds = IdentifiedMovieIn(movie_id=8, title="Seconds", labels={"director": ["John Frankenheimer"]})
    counts = await asynchronous.put_movies([seconds, IdentifiedMovieIn(movie_id=9, **ronin.model_dump())])
    assert (counts.added, counts.changed, counts.unchanged) == (1, 0, 1)
    matching = await asynchronous.search("ronin", labels={"director": ["john frankenheimer"]}, runtime_to=122)
    assert [movie.movie_id for movie in matching.movies] == [9]
    await asynchronous.delete_movie(9)
    with pytest.raises(ServiceError) as missing:
        await asynchronous.movie(9)
    assert missing.value.status == 404


async def test_trainings_are_started_followed_and_waited_for(asynchronous: AsyncClient) -> None:
    """A second training is refused with the id of the first; waiting ends with the training."""
    started = await asynchronous.start_training(["popular"], "new films")
    with pytest.raises(ServiceError) as refused:
        await asynchronous.start_training()
    assert (refused.value.status, refused.value.code) == (409, "training_under_way")
    assert refused.value.details == {"training_id": started.training_id}
    with pytest.raises(ServiceError, match="is still queued"):
        await asynchronous.wait_for_training(started.training_id, give_up_after=0)
    assert (await asynchronous.list_trainings(limit=1)).trainings[0].training_id == started.training_id
    await asynchronous.cancel_training(started.training_id)
    statuses: list[str] = []
    ended = await asynchronous.wait_for_training(
        started.training_id, on_progress=lambda training: statuses.append(training.status)
    )
    assert (ended.status, statuses) == ("cancelled", ["cancelled"])


async def test_models_and_operations(asynchronous: AsyncClient) -> None:
    """Production, the history of promotions, and health."""
    assert (await asynchronous.production()).version == 1
    assert [promotion.version for promotion in (await asynchronous.models(limit=5)).promotions] == [1]
    for request in (asynchronous.model(99), asynchronous.follow_training("nothing"), asynchronous.movie("nothing")):
        with pytest.raises(ServiceError) as error:
            await request
        assert (error.value.status, error.value.code) == (404, "not_found")
    assert (await asynchronous.health()).status == "alive"
    assert (await asynchronous.ready()).ready
    assert "cineclub_" in await asynchronous.metrics()


async def test_not_ready_is_a_response(empty: Service) -> None:
    """The 503 of /ready is returned with its reason, not raised."""
    async with AsyncClient("http://localhost", transport=empty.client._transport) as client:
        assert not (await client.ready()).ready


def test_the_synchronous_client_over_the_network(address: str) -> None:
    """Predicting, rating, following a training and reading an error work."""
    with Client(address) as client:
        assert client.ready().ready
        assert client.rate("someone new", 1002, 5.0).written == 1
        response = client.predict("someone new", top_n=3)
        assert response.recommendations[0].reasons[0].movie_id == 1002
        training = client.start_training(["popular"])
        statuses: list[str] = []

        def follow(update: object) -> None:
            statuses.append(str(getattr(update, "status", None)))
            client.cancel_training(training.training_id)

        ended = client.wait_for_training(training.training_id, on_progress=follow, poll_seconds=0.01)
        assert (ended.status, statuses) == ("cancelled", ["queued", "cancelled"])
        with pytest.raises(ServiceError) as error:
            client.take_back("someone new", 1001)
        assert (error.value.status, error.value.code) == (404, "not_found")
        with pytest.raises(ServiceError) as refused:
            client.roll_back("it recommends westerns to everybody")
        assert refused.value.status in {404, 409}


def test_the_example_of_the_documentation_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of docs/client.md runs, except for its address."""
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        code = example.replace("http://127.0.0.1:8000", address).replace("318", "1002").replace("593", "1004")
        exec(compile(code, str(DOCUMENT), "exec"), {})  # noqa: S102 - our own documentation
    assert "Film" in capsys.readouterr().out


def test_a_client_of_nobody_says_so() -> None:
    """A missing response is an error without a status."""
    [port] = free_ports(1)
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(ServiceError, match="cannot be reached") as error:
        client.health()
    assert (error.value.status, error.value.code) == (None, "unreachable")


def test_the_password_of_a_proxy_is_in_no_message() -> None:
    """An address may hold the login of a proxy, and errors name the host alone."""
    [port] = free_ports(1)
    address = f"http://ann:S3cret@127.0.0.1:{port}"
    with Client(address) as client, pytest.raises(ServiceError, match=f"http://127.0.0.1:{port} cannot") as error:
        client.health()
    assert "S3cret" not in str(error.value) + repr(client)


def test_a_key_is_sent_and_never_shown() -> None:
    """The key is sent as a bearer token and never shown."""
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, json={"status": "alive"})

    with Client("http://test", api_key="secret", transport=httpx.MockTransport(respond)) as client:
        client.health()
        assert "secret" not in repr(client._connection)
    assert seen == ["Bearer secret"]
