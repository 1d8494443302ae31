"""Filters of films, and diversity of lists."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.errors import InvalidInput
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.label_index import LabelIndex
from cineclub.domain.ratings.labels import Label, folded
from cineclub.domain.ratings.log import Movie
from cineclub.domain.ratings.vocabulary import Vocabulary
from cineclub.domain.recommend.diversity import diversify
from cineclub.domain.recommend.filters import NO_FILTERS, Filters
from cineclub.domain.recommend.ranking import rank_movies

GENRES = ("Action", "Comedy", "Drama", "Horror")
NOTHING_SEEN = np.empty(0, np.int32)


def spellings(name: str) -> tuple[str, ...]:
    """Return a name in several spellings that are one label."""
    return name, name.upper(), f" {name}  "


def wanted_labels(filters: Filters) -> tuple[tuple[str, str], ...]:
    """Return the wanted labels of filters, with languages."""
    return *filters.labels, *(("language", name) for name in filters.languages)


KINDS, NAMES = ("director", "language", "year"), ("Agnès Varda", "English", "黒澤 明", "1995")
labels_strategy = st.sets(st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), max_size=4).map(
    lambda pairs: tuple(Label(kind, name) for kind, name in sorted(pairs))
)
runtimes = st.none() | st.integers(1, 300)
movies_strategy = st.lists(
    st.builds(
        Movie,
        movie_id=st.just(0),
        external_id=st.just(""),
        title=st.just(""),
        year=st.none() | st.integers(1900, 2030),
        genres=st.sets(st.sampled_from(GENRES)).map(lambda genres: tuple(sorted(genres))),
        labels=labels_strategy,
        runtime_minutes=runtimes,
        is_available=st.booleans(),
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: [replace(movie, movie_id=at, external_id=f"m{at}") for at, movie in enumerate(rows)])
pairs_strategy = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from(spellings(name)))),
    max_size=3,
).map(tuple)
names = st.lists(st.sampled_from(GENRES), max_size=3).map(tuple)
years = st.none() | st.integers(1900, 2030)
languages = st.lists(st.sampled_from(NAMES[:2]), max_size=2).map(tuple)
ids = st.lists(st.integers(0, 40).map(lambda number: f"m{number}"), max_size=10).map(tuple)
filters_strategy = st.builds(
    Filters,
    genres=names,
    exclude_genres=names,
    year_from=years,
    year_to=years,
    labels=pairs_strategy,
    exclude_labels=pairs_strategy,
    languages=languages,
    runtime_from=runtimes,
    runtime_to=runtimes,
    available=st.none() | st.booleans(),
    exclude_movie_ids=ids,
    candidate_movie_ids=st.none() | ids,
    include_seen=st.booleans(),
)


def labelled(movie: Movie, pairs: tuple[tuple[str, str], ...]) -> set[str]:
    """Return the kinds of which a film has one of some labels."""
    own = {(label.kind, folded(label.name)) for label in movie.labels}
    return {kind for kind, name in pairs if (kind, folded(name)) in own}


def passes_filters(movie: Movie, filters: Filters, seen: set[int]) -> bool:
    """Return whether one film passes the filters, as ``excluded`` decides for all."""
    return (
        (not filters.genres or bool(set(filters.genres) & set(movie.genres)))
        and not set(filters.exclude_genres) & set(movie.genres)
        and (filters.year_from is None or (movie.year is not None and movie.year >= filters.year_from))
        and (filters.year_to is None or (movie.year is not None and movie.year <= filters.year_to))
        and labelled(movie, wanted_labels(filters)) == {kind for kind, _ in wanted_labels(filters)}
        and not labelled(movie, filters.exclude_labels)
        and (filters.runtime_from is None or (movie.runtime_minutes or 0) >= filters.runtime_from)
        and (filters.runtime_to is None or 0 < (movie.runtime_minutes or 0) <= filters.runtime_to)
        and (filters.available is None or movie.is_available == filters.available)
        and movie.external_id not in filters.exclude_movie_ids
        and (filters.candidate_movie_ids is None or movie.external_id in filters.candidate_movie_ids)
        and (filters.include_seen or movie.movie_id not in seen)
    )


@given(movies_strategy, filters_strategy, st.sets(st.integers(0, 29)), st.booleans())
def test_filters_leave_the_movies_that_meet_each_condition(
    movies: list[Movie],
    filters: Filters,
    seen: set[int],
    is_of_catalogue: bool,  # noqa: FBT001 - of hypothesis
) -> None:
    """Filters agree with a film-by-film check of the documented conditions, also with the index of a catalogue."""
    vocabulary = Catalogue.of(movies, [0.0] * len(movies)).vocabulary if is_of_catalogue else Vocabulary.of(movies)
    seen &= {movie.movie_id for movie in movies}
    if vocabulary.unknown_genres(filters.genres):
        with pytest.raises(InvalidInput, match="no film has the genre"):
            filters.excluded(vocabulary, NOTHING_SEEN)
        return
    if not all(any(labelled(movie, (pair,)) for movie in movies) for pair in wanted_labels(filters)):
        with pytest.raises(InvalidInput, match="labels: no film has"):
            filters.excluded(vocabulary, NOTHING_SEEN)
        return
    excluded = set(filters.excluded(vocabulary, np.array(sorted(seen), np.int32)).tolist())
    assert {at for at, movie in enumerate(movies) if not passes_filters(movie, filters, seen)} == excluded


def test_genres_are_found_however_they_are_capitalised_and_missing_ones_are_named() -> None:
    """Genres are matched in any case; an unknown genre is refused with the list of genres."""
    vocabulary = Vocabulary.of([Movie(1, "1", "", 1999, ("Sci-Fi",)), Movie(2, "2", "", 1999, ())])
    assert Filters(genres=("sci-fi",)).excluded(vocabulary, NOTHING_SEEN).tolist() == [1]
    assert Filters(exclude_genres=("western",)).excluded(vocabulary, NOTHING_SEEN).tolist() == []
    with pytest.raises(InvalidInput, match=r"'scifi'; there are Sci-Fi"):
        Filters(genres=("scifi",)).excluded(vocabulary, NOTHING_SEEN)


def test_wanted_labels_that_no_movie_has_are_refused_with_those_that_there_are() -> None:
    """As genres are; a kind with many names names none of them, and excluded ones may be unknown."""
    directors = tuple(Label("director", f"Director {nth}") for nth in range(40))
    labels = (Label("language", "English"), Label("language", "日本語"), *directors)
    vocabulary = Vocabulary.of([Movie(1, "1", "", None, (), labels=labels)])
    for wanted, message in (
        (Filters(languages=("en",)), "no film has the language 'en'; there are english, 日本語$"),
        (Filters(labels=(("director", "Nobody"),)), "no film has the director 'Nobody'$"),
        (Filters(labels=(("mood", "calm"),)), "of the kind 'mood'; there are director, language$"),
    ):
        with pytest.raises(InvalidInput, match=message):
            wanted.excluded(vocabulary, NOTHING_SEEN)
    assert Filters(exclude_labels=(("mood", "calm"),)).excluded(vocabulary, NOTHING_SEEN).tolist() == []


def test_labels_are_those_of_the_movies_at_their_new_places() -> None:
    """An index of other positions leaves out the movies that have none."""
    movies = [Movie(at, f"m{at}", "", None, (), labels=(Label("tag", "Noir"),)) for at in range(4)]
    index = LabelIndex.of(movies).at(np.array([5, -1, 0, 1], np.int32))
    assert sorted(index.having("tag", " NOIR ").tolist()) == [0, 1, 5]
    assert index.having("tag", "western").tolist() == index.having("mood", "noir").tolist() == []


def test_movies_are_found_by_the_ids_of_others() -> None:
    """IMDb ids are accepted with and without letters and leading zeros."""
    vocabulary = Vocabulary.of(
        [Movie(7, "a", "", 1999, (), imdb_id="0114709", tmdb_id="862"), Movie(8, "b", "", None, ())]
    )
    assert (vocabulary.by_imdb_id, vocabulary.by_tmdb_id, vocabulary.by_external_id) == (
        {"114709": 0},
        {"862": 0},
        {"a": 0, "b": 1},
    )


@given(movies_strategy, st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_without_diversity_the_order_is_that_of_the_scores(movies: list[Movie], seed: int, top_n: int) -> None:
    """Diversity 0 keeps the order of the scores, and no film is listed twice at any diversity."""
    vocabulary = Vocabulary.of(movies)
    scores = np.random.default_rng(seed).normal(size=len(movies)).astype(np.float32)
    best = rank_movies(scores, NO_FILTERS.excluded(vocabulary, NOTHING_SEEN), len(movies))
    assert diversify(scores[best], vocabulary.genres[:, best], 0.0, top_n).tolist() == list(
        range(min(top_n, len(movies)))
    )
    mixed = diversify(scores[best], vocabulary.genres[:, best], 0.7, top_n)
    assert len(set(mixed.tolist())) == min(top_n, len(movies))
    assert mixed[0] == 0


def test_full_diversity_lists_each_genre_before_one_comes_back() -> None:
    """With diversity 1 the first three films have different genres."""
    genres = np.zeros((3, 9), np.bool_)
    genres[np.repeat([0, 1, 2], 3), np.arange(9)] = True
    scores = np.arange(9, 0, -1).astype(np.float32)
    assert diversify(scores, genres, 0.0, 3).tolist() == [0, 1, 2]
    first = diversify(scores, genres, 1.0, 3)
    assert {int(at) // 3 for at in first} == {0, 1, 2}


def test_nothing_to_choose_among_gives_an_empty_list() -> None:
    """Without candidates the list is empty."""
    assert len(diversify(np.empty(0, np.float32), np.zeros((2, 0), np.bool_), 0.5, 5)) == 0
