"""The bounded cache of responses."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from cineclub.domain.ratings.log import Movie, RatingScale, UserRatings
from cineclub.domain.recommend.filters import Filters
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recent_responses import RecentResponses
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommendations import Recommendation, RecommendationList
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.domain.recommend.request import GivenRating, RecommendationRequest
from cineclub.models.random import Random

REQUEST = RecommendationRequest(10, "u")


def history() -> UserRatings:
    """Return a history of its own, equal to every other of this test."""
    return UserRatings(np.array([1]), np.array([4], np.float32), np.array([0]))


def model() -> LiveModel:
    """Return a model of its own, equal to every other of this test."""
    scores = np.zeros(1, np.float32)
    fitted = FittedModel(Recipe("random"), Random(scores), np.array([1]), scores, RatingScale(1, 5))
    return LiveModel.of(1, fitted, {1: Movie(1, "1", "One", 1999, ())})


def recommended(n_movies: int) -> RecommendationList:
    """Return recommendations of a number of films."""
    movie = Movie(1, "1", "One", 1999, ())
    return RecommendationList("model", tuple(Recommendation(rank, movie, 0.0) for rank in range(1, n_movies + 1)))


def test_a_response_is_good_for_the_same_request_history_and_model() -> None:
    """Another request, history or model object is not served from the cache."""
    responses, known, fitted, movies = RecentResponses(), history(), model(), recommended(10)
    responses.remember(REQUEST, known, fitted, movies)
    assert responses.recall(RecommendationRequest(10, "u"), known, fitted) is movies
    assert responses.recall(RecommendationRequest(11, "u"), known, fitted) is None
    assert responses.recall(replace(REQUEST, filters=Filters(genres=("Drama",))), known, fitted) is None
    assert responses.recall(REQUEST, history(), fitted) is movies
    assert responses.recall(REQUEST, known, model()) is None
    assert responses.recall(RecommendationRequest(10, "other"), known, fitted) is None


@pytest.mark.parametrize("changed", ["movie_ids", "ratings", "rated_at"])
def test_any_change_of_the_history_is_seen(changed: str) -> None:
    """A history is the same only if every film, rating and time is."""
    responses, known, fitted = RecentResponses(), history(), model()
    responses.remember(REQUEST, known, fitted, recommended(10))
    assert responses.recall(REQUEST, replace(known, **{changed: getattr(known, changed) + 1}), fitted) is None
    assert responses.recall(REQUEST, UserRatings.none(), fitted) is None


def test_somebody_without_an_account_is_not_remembered() -> None:
    """Recommendations for ratings in the request are not cached."""
    responses, known, fitted = RecentResponses(), history(), model()
    request = RecommendationRequest(10, None, (GivenRating("1", 4),))
    responses.remember(request, known, fitted, recommended(10))
    assert responses.recall(request, known, fitted) is None
    assert len(responses) == 0


def test_the_memory_is_bounded_by_movies() -> None:
    """The least recently seen user is dropped first, and a new entry replaces the user's old one."""
    responses, known, fitted = RecentResponses(max_movies=20), history(), model()
    for user_id in ("a", "a", "b"):
        responses.remember(RecommendationRequest(10, user_id), known, fitted, recommended(10))
    assert responses.recall(RecommendationRequest(10, "a"), known, fitted) is not None
    responses.remember(RecommendationRequest(10, "c"), known, fitted, recommended(1))
    assert responses.recall(RecommendationRequest(10, "b"), known, fitted) is None
    assert responses.recall(RecommendationRequest(10, "a"), known, fitted) is not None
    responses.remember(RecommendationRequest(50, "d"), known, fitted, recommended(50))
    assert len(responses) == 0


def test_responses_without_movies_and_long_histories_take_room_too() -> None:
    """Empty lists and long histories count towards the bound."""
    responses, fitted = RecentResponses(max_movies=20), model()
    for number in range(1000):
        responses.remember(RecommendationRequest(10, str(number)), history(), fitted, recommended(0))
    assert len(responses) == 20
    long = UserRatings(np.arange(500), np.ones(500, np.float32), np.arange(500))
    responses.remember(RecommendationRequest(10, "long"), long, fitted, recommended(1))
    assert len(responses) == 0


def test_a_former_model_is_let_go() -> None:
    """After a hot reload the former model is released at once, and its entries at the next one."""
    responses, known, former = RecentResponses(), history(), model()
    alive = weakref.ref(former.fitted)
    responses.remember(REQUEST, known, former, recommended(10))
    del former
    gc.collect()
    assert alive() is None
    responses.remember(RecommendationRequest(10, "other"), known, model(), recommended(10))
    assert len(responses) == 1


def test_a_forgotten_user_leaves_room() -> None:
    """Erasing a user removes their entries."""
    responses, known, fitted = RecentResponses(max_movies=20), history(), model()
    for user_id in ("a", "b"):
        responses.remember(RecommendationRequest(10, user_id), known, fitted, recommended(10))
    responses.forget("a")
    responses.forget("nobody")
    responses.remember(RecommendationRequest(10, "c"), known, fitted, recommended(10))
    assert len(responses) == 2
    assert responses.recall(RecommendationRequest(10, "a"), known, fitted) is None
