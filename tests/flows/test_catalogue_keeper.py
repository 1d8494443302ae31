"""The catalogue in memory: what is noticed is read once, passed on once, and never lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cineclub.domain.errors import StorageUnavailable
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.log import Movie
from cineclub.flows.catalogue_keeper import FRESH_SECONDS, CatalogueKeeper, CatalogueReads
from waiting import until

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAT, RONIN = Movie(1, "1", "Heat", 1995, ("Crime",)), Movie(2, "2", "Ronin", 1998, ("Crime",))


class Source:
    """Movies of a database, its clock, and who was passed what."""

    def __init__(self) -> None:
        """Begin with one movie, and notices."""
        self.movies: dict[int, Movie] = {1: HEAT}
        self.has_notices, self.is_away = True, False
        self.seconds, self.now = 0.0, NOW
        self.reads: list[str] = []
        self.received: list[Catalogue] = []
        reads = CatalogueReads(self.all_movies, self.movies_of, self.popularity)
        self.keeper = CatalogueKeeper(
            reads, self.receive, lambda: self.has_notices, lambda: self.now, lambda: self.seconds
        )

    async def all_movies(self) -> Sequence[Movie]:
        """Return all movies, without overviews."""
        self._read("all")
        return [replace(movie, overview=None) for _, movie in sorted(self.movies.items())]

    async def movies_of(self, movie_ids: Sequence[int]) -> Mapping[int, Movie]:
        """Return some movies."""
        self._read(f"movies {list(movie_ids)}")
        return {movie_id: self.movies[movie_id] for movie_id in movie_ids if movie_id in self.movies}

    async def popularity(self) -> Sequence[tuple[int, float]]:
        """Return that the first movie is popular."""
        self._read("popularity")
        return [(1, 5.0)]

    async def receive(self, catalogue: Catalogue) -> None:
        """Note a catalogue."""
        self.received.append(catalogue)

    def _read(self, what: str) -> None:
        """Note a read, or fail."""
        if self.is_away:
            message = "PostgreSQL does not answer"
            raise StorageUnavailable(message)
        self.reads.append(what)

    @property
    def titles(self) -> list[str]:
        """The titles of the catalogue that was passed on last."""
        return [movie.title for movie in self.received[-1].movies] if self.received else []


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source with a keeper that retries at once."""
    monkeypatch.setattr("cineclub.flows.catalogue_keeper.RETRY_SECONDS", 0.01)
    return Source()


async def started(source: Source, happened: Callable[[], bool]) -> None:
    """Run the keeper until something has happened."""
    await source.keeper.start()
    try:
        await until(happened)
        await asyncio.sleep(0.05)
    finally:
        await source.keeper.stop()


async def test_a_changed_movie_alone_is_read_and_passed_on(source: Source) -> None:
    """Once, whoever notes it how often."""
    await source.keeper.get()
    source.movies[2] = replace(RONIN, overview="A briefcase.")
    source.keeper.note_changes([2])
    source.keeper.note_changes([2])
    await started(source, lambda: source.titles == ["Heat", "Ronin"])
    assert source.reads == ["all", "popularity", "movies [2]"]
    assert source.received[-1].movies[1].overview is None


async def test_what_has_not_changed_is_not_passed_on(source: Source) -> None:
    """A film that is sent again as it was makes no work, nor does a read of everything."""
    source.movies[1] = replace(HEAT, overview="Two men.")
    catalogue = await source.keeper.get()
    source.keeper.note_changes([1])
    assert (await source.keeper.get()).movies is catalogue.movies
    source.keeper.note_changes(None)
    assert (await source.keeper.get()).movies is catalogue.movies
    source.keeper.note_changes([])
    await started(source, lambda: bool(source.received))
    assert len(source.received) == 1


async def test_a_read_that_fails_is_tried_again_soon(source: Source) -> None:
    """A withdrawn film is not recommended for another minute."""
    await source.keeper.get()
    source.movies[1] = replace(HEAT, is_available=False)
    source.is_away = True
    source.keeper.note_changes([1])
    with pytest.raises(StorageUnavailable):
        await source.keeper.get()
    await source.keeper.start()
    await asyncio.sleep(0.1)
    source.is_away = False
    await until(lambda: bool(source.received) and not source.received[-1].movies[0].is_available)
    await source.keeper.stop()


async def test_a_change_is_not_lost_where_the_indexing_fails(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again."""
    await source.keeper.get()
    source.movies[2] = RONIN
    source.keeper.note_changes([2])
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "with_changes", _without_memory)
        with pytest.raises(MemoryError):
            await source.keeper.get()
    assert [movie.title for movie in (await source.keeper.get()).movies] == ["Heat", "Ronin"]
    source.movies[3] = replace(RONIN, movie_id=3)
    source.keeper.note_changes(None)
    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "of", _without_memory)
        with pytest.raises(MemoryError):
            await source.keeper.get()
    assert len((await source.keeper.get()).movies) == 3


def _without_memory(*_: object) -> None:
    """Fail as where memory is used up."""
    raise MemoryError


async def test_an_old_catalogue_is_read_again_where_changes_are_not_noticed(source: Source) -> None:
    """With notices its popularity alone is."""
    await source.keeper.get()
    source.movies[2] = RONIN
    source.seconds = FRESH_SECONDS + 1
    assert len((await source.keeper.get()).movies) == 1
    assert source.reads == ["all", "popularity", "popularity"]
    source.has_notices, source.seconds = False, 3 * FRESH_SECONDS
    assert len((await source.keeper.get()).movies) == 2


async def test_a_label_counts_from_its_date_on(source: Source) -> None:
    """Not before, and then without a notice."""
    source.movies[1] = replace(HEAT, labels=(Label("director", "Michael Mann", since=NOW + timedelta(days=1)),))
    assert not (await source.keeper.get()).movies[0].labels
    source.now = NOW + timedelta(days=1)
    source.keeper.note_changes([])
    await started(source, lambda: bool(source.received) and bool(source.received[-1].movies[0].labels))


async def test_a_deleted_movie_is_gone(source: Source) -> None:
    """And comes back if it is added again."""
    source.movies[2] = RONIN
    await source.keeper.get()
    del source.movies[2]
    source.keeper.note_changes([2])
    assert len((await source.keeper.get()).movies) == 1
    source.movies[2] = RONIN
    source.keeper.note_changes([2])
    assert len((await source.keeper.get()).movies) == 2
