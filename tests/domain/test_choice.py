"""Which films a choice leaves, and lists whose films differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.choice import EVERYTHING, Choice
from cineclub.domain.diversity import diversify
from cineclub.domain.errors import InvalidInput
from cineclub.domain.films import FilmIndex
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import Movie

GENRES = ("Action", "Comedy", "Drama", "Horror")
NOTHING_SEEN = np.empty(0, np.int32)
movies_strategy = st.lists(
    st.tuples(st.none() | st.integers(1900, 2030), st.sets(st.sampled_from(GENRES))), min_size=1, max_size=30
).map(lambda rows: [Movie(at, f"m{at}", "", year, tuple(sorted(genres))) for at, (year, genres) in enumerate(rows)])
names = st.lists(st.sampled_from(GENRES), max_size=3).map(tuple)
years = st.none() | st.integers(1900, 2030)
ids = st.lists(st.integers(0, 40).map(lambda number: f"m{number}"), max_size=10).map(tuple)
choices = st.builds(
    Choice,
    genres=names,
    exclude_genres=names,
    year_from=years,
    year_to=years,
    exclude_movie_ids=ids,
    candidate_movie_ids=st.none() | ids,
    include_seen=st.booleans(),
)


def may_be_answered(movie: Movie, choice: Choice, seen: set[int]) -> bool:
    """Say of one film what ``left_out`` says of all."""
    return (
        (not choice.genres or bool(set(choice.genres) & set(movie.genres)))
        and not set(choice.exclude_genres) & set(movie.genres)
        and (choice.year_from is None or (movie.year is not None and movie.year >= choice.year_from))
        and (choice.year_to is None or (movie.year is not None and movie.year <= choice.year_to))
        and movie.external_id not in choice.exclude_movie_ids
        and (choice.candidate_movie_ids is None or movie.external_id in choice.candidate_movie_ids)
        and (choice.include_seen or movie.movie_id not in seen)
    )


@given(movies_strategy, choices, st.sets(st.integers(0, 29)))
def test_a_choice_leaves_the_films_that_meet_each_of_its_conditions(
    movies: list[Movie], choice: Choice, seen: set[int]
) -> None:
    """Film by film, the same as by the words of the documentation."""
    films = FilmIndex.of(movies)
    seen &= {movie.movie_id for movie in movies}
    if films.unknown_genres(choice.genres):
        with pytest.raises(InvalidInput, match="no film has the genre"):
            choice.left_out(films, NOTHING_SEEN)
        return
    left_out = set(choice.left_out(films, np.array(sorted(seen), np.int32)).tolist())
    assert {at for at, movie in enumerate(movies) if not may_be_answered(movie, choice, seen)} == left_out


def test_genres_are_found_however_they_are_capitalised_and_missing_ones_are_named() -> None:
    """A typing error gets the list of what there is."""
    films = FilmIndex.of([Movie(1, "1", "", 1999, ("Sci-Fi",)), Movie(2, "2", "", 1999, ())])
    assert Choice(genres=("sci-fi",)).left_out(films, NOTHING_SEEN).tolist() == [1]
    assert Choice(exclude_genres=("western",)).left_out(films, NOTHING_SEEN).tolist() == []
    with pytest.raises(InvalidInput, match=r"'scifi'; there are Sci-Fi"):
        Choice(genres=("scifi",)).left_out(films, NOTHING_SEEN)


def test_films_are_found_by_the_ids_of_others() -> None:
    """IMDb's numbers are written with and without letters and zeros."""
    films = FilmIndex.of([Movie(7, "a", "", 1999, (), imdb_id="0114709", tmdb_id="862"), Movie(8, "b", "", None, ())])
    assert (films.by_imdb_id, films.by_tmdb_id, films.by_external_id) == ({"114709": 0}, {"862": 0}, {"a": 0, "b": 1})


@given(movies_strategy, st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_without_diversity_the_order_is_that_of_the_scores(movies: list[Movie], seed: int, top_n: int) -> None:
    """Diversity 0 changes nothing, and no film is listed twice whatever the diversity."""
    films = FilmIndex.of(movies)
    scores = np.random.default_rng(seed).normal(size=len(movies)).astype(np.float32)
    best = rank_movies(scores, EVERYTHING.left_out(films, NOTHING_SEEN), len(movies))
    assert diversify(scores[best], films.genres[:, best], 0.0, top_n).tolist() == list(range(min(top_n, len(movies))))
    mixed = diversify(scores[best], films.genres[:, best], 0.7, top_n)
    assert len(set(mixed.tolist())) == min(top_n, len(movies))
    assert mixed[0] == 0


def test_full_diversity_lists_each_genre_before_one_comes_back() -> None:
    """Nine films of three genres, the best three of one: with diversity 1 the first three differ."""
    genres = np.zeros((3, 9), np.bool_)
    genres[np.repeat([0, 1, 2], 3), np.arange(9)] = True
    scores = np.arange(9, 0, -1).astype(np.float32)
    assert diversify(scores, genres, 0.0, 3).tolist() == [0, 1, 2]
    first = diversify(scores, genres, 1.0, 3)
    assert {int(at) // 3 for at in first} == {0, 1, 2}


def test_nothing_to_choose_among_gives_an_empty_list() -> None:
    """No contender, no list."""
    assert len(diversify(np.empty(0, np.float32), np.zeros((2, 0), np.bool_), 0.5, 5)) == 0
