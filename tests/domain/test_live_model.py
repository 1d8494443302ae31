"""Models in memory and the context that they follow."""

from dataclasses import replace

import pytest

from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models.popular import Popular
from small_models import fitted_model, movies_of


def popular_of(half_life_days: float) -> FittedModel:
    """Return a small popular model with this half-life."""
    fitted = fitted_model("popular")
    assert isinstance(fitted.recommender, Popular)
    return replace(fitted, recommender=replace(fitted.recommender, half_life_days=half_life_days))


@pytest.mark.parametrize(
    ("fitted", "follows"),
    [
        (popular_of(0.0), False),
        (popular_of(3.0), True),
        (fitted_model("ease"), False),
        (fitted_model("combination"), True),
    ],
    ids=["popular of all time", "popular of 3 days", "ease", "combination"],
)
def test_only_a_model_whose_scores_follow_the_counts_has_a_context(fitted: FittedModel, *, follows: bool) -> None:
    """Answers of the others stay in memory while the counts change."""
    live = LiveModel.of(1, fitted, {movie.movie_id: movie for movie in movies_of(fitted)})

    assert (live.context_in(CrowdCounts.empty(0)) is not None) is follows
