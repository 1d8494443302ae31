"""Fresh lists of a model: what they state about themselves."""

import numpy as np
import pytest

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend
from cineclub.domain.recommend.recommendations import RecommendationList
from cineclub.domain.recommend.request import RecommendationRequest
from small_models import fitted_model, movies_of


def fresh_list(name: str, fresh: float) -> RecommendationList:
    """Return the list of a small model for a user with three ratings."""
    fitted = fitted_model(name)
    live = LiveModel.of(1, fitted, {movie.movie_id: movie for movie in movies_of(fitted)})
    rated = UserRatings(fitted.movie_ids[:3], np.full(3, 5.0, np.float32), np.arange(3, dtype=np.int64))
    return recommend(live, RecommendationRequest(user_id="7", top_n=5, fresh=fresh), rated)


@pytest.mark.parametrize(("name", "detail"), [("ease", "reasons"), ("bayesian_mf", "predicted_stars")])
def test_a_list_that_is_the_trend_alone_states_nothing_of_the_model(name: str, detail: str) -> None:
    """No rating of the user and no predicted stars are given as the reason of a popular list."""
    mixed, whole = fresh_list(name, 0.5), fresh_list(name, 1.0)

    assert mixed.strategy == "model"
    assert any(getattr(movie, detail) for movie in mixed.recommendations)
    assert whole.strategy == "popular"
    assert len(whole.recommendations) == 5
    assert all(not movie.reasons and movie.predicted_stars is None for movie in whole.recommendations)
