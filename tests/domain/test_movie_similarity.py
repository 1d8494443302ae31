"""Attributes of films, and their similarity by these."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.similarity import MovieSimilarity
from cineclub.domain.ratings.labels import folded
from cineclub.domain.ratings.log import Movie

GENRES = ("Drama", "drama", " ", "Comedy", "Криминал", "криминал ", "科幻")
catalogues = st.lists(
    st.builds(
        lambda year, genres: movie(year, *genres),
        st.none() | st.integers(-50, 2100),
        st.lists(st.sampled_from(GENRES), max_size=4),
    ),
    min_size=1,
    max_size=30,
)


def movie(year: int | None, *genres: str) -> Movie:
    """Return a movie."""
    return Movie(0, "", "", year, genres)


def similarity_of(*movies: Movie) -> MovieSimilarity:
    """Return the similarity of movies."""
    return MovieSimilarity(AttributeTable.of(movies))


@given(catalogues)
def test_similarity_is_a_cosine(movies: list[Movie]) -> None:
    """It is from 0 to 1 and the same both ways; with itself it is 1, or 0 for a movie without attributes."""
    similarity = similarity_of(*movies)
    table = np.array([similarity.of(position) for position in range(len(movies))])
    assert (table >= 0).all()
    assert (table <= 1).all()
    assert np.allclose(table, table.T, atol=1e-4)
    has_any = [any(map(folded, each.genres)) or each.year is not None for each in movies]
    assert np.allclose(np.diagonal(table), has_any, atol=1e-4)


@given(catalogues, st.integers(0, 40))
def test_the_most_similar_movies_are_those_of_a_full_sort(movies: list[Movie], top_n: int) -> None:
    """The most similar come first, equal ones by popularity and then by position, and none is unlike or the movie."""
    similarity, rng = similarity_of(*movies), np.random.default_rng(len(movies))
    popularity = rng.choice([1.0, 2.0, 3.0], len(movies)).astype(np.float32)
    for position in range(len(movies)):
        cosines = similarity.of(position)
        expected = sorted(
            (at for at in range(len(movies)) if at != position and cosines[at] > 0),
            key=lambda at: (-cosines[at], -popularity[at], at),
        )
        best, values = similarity.most_similar(position, popularity, top_n, np.ones(len(popularity), np.bool_))
        assert best.tolist() == expected[:top_n]
        assert values.tolist() == cosines[best].tolist()


def test_movies_share_genres_in_any_spelling_and_the_time_they_are_from() -> None:
    """Case, width and blanks of a genre do not count; years share less the farther they are, and none in ten years."""
    spellings = ("Science  Fiction", "science fiction"), ("\uff33cience fiction",), ("SCIENCE FICTION",)
    similarity = similarity_of(*(movie(1994 + nth, *names) for nth, names in enumerate(spellings)), movie(2010))
    cosines = similarity.of(0)
    assert cosines[0] == 1
    assert 1 > cosines[1] > cosines[2] > 0
    assert cosines[3] == 0
    assert folded(" \uff26ilm\tNoir ") == "film noir"


def test_a_rare_genre_makes_movies_more_similar_than_one_that_most_have() -> None:
    """Two westerns among dramas are more similar than a western and a drama."""
    dramas = [movie(None, "Drama", "Comedy")] * 8
    similarity = similarity_of(movie(None, "Drama", "Western"), movie(None, "Western", "War"), *dramas)
    assert similarity.of(0)[1] > similarity.of(0)[2] > 0


def test_a_movie_of_which_nothing_is_known_is_similar_to_nothing() -> None:
    """Without genres and year there is no similar movie, and no division by zero."""
    similarity = similarity_of(movie(None), movie(1990, "Drama"))
    assert similarity.of(0).tolist() == [0, 0]
    assert not len(similarity.most_similar(0, np.ones(2, np.float32), 5, np.ones(2, np.bool_))[0])
    assert similarity.of(1).tolist() == pytest.approx([0, 1])
