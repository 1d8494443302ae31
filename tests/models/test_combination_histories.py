"""Lists of a combination for ratings without times: films similar to another, and the portable model."""

import asyncio

import numpy as np
import pandas as pd
import pytest
from trends_of_days import N_DAYS, N_MOVIES, fitted, log_of_trends

from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommender import History
from cineclub.flows.browsing import BrowsingFlow, CatalogueQueries, SimilarMovies
from cineclub.models.combination.model import Combination
from cineclub.portable import PortableRecommender


def live_of(min_ratings: int) -> LiveModel:
    """Return a live combination whose base models know the users and films with so many ratings."""
    movies = {movie: Movie(movie, str(movie), f"Film {movie}", None, ()) for movie in range(N_MOVIES)}
    return LiveModel.of(1, fitted(log_of_trends(), min_ratings=min_ratings), movies)


@pytest.fixture(scope="module")
def live() -> LiveModel:
    """Return a live model whose base models know every film."""
    return live_of(1)


def combination_in(live: LiveModel) -> Combination:
    """Return the recommender of a live model."""
    assert isinstance(live.fitted.recommender, Combination)
    return live.fitted.recommender


def similar_to(live: LiveModel, movie: int) -> SimilarMovies:
    """Return the similar films of a flow that has a model and its films, and no ratings."""
    movies = Catalogue.of(live.movies, live.fitted.popularity.tolist())

    async def catalogue() -> Catalogue:
        return movies

    async def nothing(*_: object) -> dict[int, Movie]:
        return {}

    queries = CatalogueQueries(catalogue, lambda: movies, nothing, nothing, nothing)  # type: ignore[arg-type]
    return asyncio.run(BrowsingFlow(queries, lambda: live).similar(str(movie), 10))


def today(live: LiveModel, movies: list[int]) -> History:
    """Return five stars of films at the end of the ratings of a model."""
    times = np.full(len(movies), combination_in(live).frozen_context.moment)
    return History(np.array(movies, np.int32), np.full(len(movies), 5.0, np.float32), times)


@pytest.mark.parametrize("movie", [3, 20, N_DAYS])
def test_similar_films_are_those_that_the_film_itself_raises(live: LiveModel, movie: int) -> None:
    """The scores are the contributions of the film's rating, highest first; trends, the same for any film, are not."""
    similar = similar_to(live, movie)
    contributions = (
        combination_in(live).predict(today(live, [movie])).explain(np.arange(N_MOVIES, dtype=np.int32))[:, 0]
    )
    contributions[movie] = -np.inf
    best = np.sort(contributions)[::-1][:10]
    assert similar.strategy == "model"
    np.testing.assert_allclose([item.score for item in similar.movies], best, atol=1e-3)
    trends = np.argsort(-combination_in(live).scores(today(live, [])))[:10]
    assert {item.movie.movie_id for item in similar.movies} != set(trends.tolist())


def test_a_film_that_no_base_model_knows_has_popular_films_instead() -> None:
    """Nothing is known of a film with few ratings, so its list is that of popular films and says so."""
    live = live_of(11)
    unknown = np.flatnonzero(combination_in(live).bases.place_of < 0)
    assert len(unknown)
    similar = similar_to(live, int(unknown[0]))
    assert similar.strategy == "popular"
    assert len(similar.movies) == 10
    assert not any(item.reasons for item in similar.movies)


def test_the_portable_model_takes_its_ratings_as_those_of_today(live: LiveModel) -> None:
    """Ratings without times are at the end of those of the fit, not of 1970."""
    portable = PortableRecommender()
    portable.model = live
    request = pd.DataFrame([{"movie_ids": ["3", "9"], "ratings": [5.0, 5.0], "top_n": 10}])
    table = portable.predict(None, request)
    scores = combination_in(live).scores(today(live, [3, 9]))
    movies = table["movie_id"].astype(int).to_numpy()
    np.testing.assert_allclose(table["score"].to_numpy(), scores[movies], atol=1e-3)
    of_1970 = History(np.array([3, 9], np.int32), np.full(2, 5.0, np.float32), np.arange(2))
    assert np.abs(combination_in(live).scores(of_1970) - scores).max() > 0.01
