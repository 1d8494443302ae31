"""The catalogue: after a few changes it is the catalogue of the changed movies."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.log import Movie, next_known_at

NAMES = st.sampled_from(["Michael Mann", "Agnès Varda", "heist", "beach"])
A_MOVIE = st.builds(
    Movie,
    movie_id=st.integers(1, 12),
    external_id=st.just("x"),
    title=st.sampled_from(["Heat", "Ronin", "Cléo de 5 à 7", "Thief"]),
    year=st.none() | st.integers(1950, 1960),
    genres=st.lists(st.sampled_from(["Drama", "Crime"]), max_size=2, unique=True).map(tuple),
    labels=st.lists(st.builds(Label, st.sampled_from(["director", "keyword"]), NAMES), max_size=2).map(tuple),
    is_available=st.booleans(),
)
MOVIES = st.lists(A_MOVIE, max_size=10, unique_by=lambda movie: movie.movie_id).map(
    lambda movies: [replace(movie, external_id=f"x{movie.movie_id}") for movie in sorted(movies, key=_movie_id)]
)


def _movie_id(movie: Movie) -> int:
    """Return the id of a movie."""
    return movie.movie_id


def movies_by_label(catalogue: Catalogue) -> dict[tuple[str, str], list[int]]:
    """Return the positions of the movies that have each label, by kind and folded name."""
    labels = catalogue.vocabulary.labels()
    return {(kind, name): labels.having(kind, name).tolist() for kind in labels.codes for name in labels.names_of(kind)}


@given(MOVIES, MOVIES, st.sets(st.integers(1, 12)))
def test_changes_give_the_catalogue_of_the_changed_movies(
    movies: list[Movie], changed: list[Movie], gone: set[int]
) -> None:
    """Movies, indexes, similarity and availability are those of a catalogue that is made of them."""
    former = Catalogue.of(movies, [float(movie.movie_id) for movie in movies])
    changes: dict[int, Movie | None] = {movie.movie_id: movie for movie in changed}
    changes |= dict.fromkeys(gone)
    merged = {movie.movie_id: movie for movie in movies} | changes
    expected_movies = [movie for _, movie in sorted(merged.items()) if movie is not None]
    known = {movie.movie_id for movie in movies}
    popularity = [float(movie.movie_id) if movie.movie_id in known else 0.0 for movie in expected_movies]
    actual, expected = former.with_changes(changes), Catalogue.of(expected_movies, popularity)
    assert list(actual.movies) == expected_movies
    assert actual.positions == expected.positions
    assert actual.popularity.tolist() == expected.popularity.tolist()
    assert actual.vocabulary.is_available.tolist() == expected.vocabulary.is_available.tolist()
    assert movies_by_label(actual) == movies_by_label(expected)
    assert actual.vocabulary.by_external_id == expected.vocabulary.by_external_id
    for text in ("heat", "cleo"):
        assert actual.search.best(text, 10) == expected.search.best(text, 10)
    for position in range(len(expected_movies)):
        np.testing.assert_allclose(actual.similarity.of(position), expected.similarity.of(position), atol=1e-4)


def test_another_popularity_leaves_the_movies_the_same_objects() -> None:
    """Whoever was told of the movies need not be told again."""
    movies = [Movie(1, "1", "Heat", 1995, ("Crime",)), Movie(2, "2", "Heat", 1972, ())]
    former = Catalogue.of(movies, [1.0, 2.0])
    other = former.with_popularity([2.0, 1.0])
    assert other.movies is former.movies
    assert former.search.best("heat", 2) == [1, 0]
    assert other.search.best("heat", 2) == [0, 1]


def test_a_movie_is_known_with_the_labels_of_a_moment() -> None:
    """Those that are dated later are left out until then."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = Label("director", "Michael Mann", since=now + timedelta(days=1))
    movie = Movie(1, "1", "Heat", None, (), labels=(Label("keyword", "heist"), later))
    assert movie.known_at(now).labels == (Label("keyword", "heist"),)
    assert movie.known_at(now + timedelta(days=1)) is movie
    assert next_known_at([movie], now) == later.since
    assert next_known_at([movie], now + timedelta(days=1)) is None
