"""What is judged is what is served, person by person."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import pytest
from log_strategies import log_of

from cineclub.domain.evaluation import Judgement, judge, list_overlap
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel, History, Reading, nothing_moved
from cineclub.domain.splitting import JudgedWindow, split_at

MOVIES = np.array([1, 2, 3, 4], np.int64)


class FixedScores:
    """A model that knows four films, scores them the same for everybody and uses ratings of films 1 and 2 only."""

    name: ClassVar[str] = "fixed"
    is_personal: ClassVar[bool] = True

    def __init__(self, scores: list[float]) -> None:
        """Keep the scores."""
        self._scores = np.array(scores, np.float32)

    def scores(self, _history: History) -> np.ndarray:
        """The scores, whoever asks."""
        return self._scores

    def uses(self, history: History) -> np.ndarray:
        """Films 1 and 2 count."""
        return history.movie_indices < 2

    def read(self, history: History) -> Reading:
        """Nothing moved anything."""
        return Reading(self.scores(history), self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The scores."""
        return {"scores": self._scores}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Back from the scores."""
        return cls(arrays["scores"].tolist())


class FixedStars(FixedScores):
    """The same, and everybody gives every film three stars."""

    def predict_stars(self, _history: History, movie_indices: np.ndarray) -> np.ndarray:
        """Three stars each."""
        return np.full(len(movie_indices), 3, np.float32)


def fitted(recommender: FixedScores) -> FittedModel:
    """The model with film 4 the most popular."""
    popularity = np.array([1, 2, 3, 4], np.float32)
    return FittedModel(Recipe("fixed"), recommender, MOVIES, popularity, log_of([]).scale)


@pytest.fixture
def window() -> JudgedWindow:
    """Three people: 1 rated film 1 and liked 3 and 9, 2 rated film 3 and liked 4, 3 rated film 2 and disliked 4."""
    return split_at(
        log_of(
            [
                (1, 1, 5.0, 0),
                (1, 3, 5.0, 10),
                (1, 9, 4.0, 10),
                (1, 2, 3.0, 9),
                (2, 3, 2.0, 0),
                (2, 4, 4.0, 10),
                (3, 2, 5.0, 0),
                (3, 4, 1.0, 10),
            ]
        ),
        9,
    ).window


def test_each_person_is_judged_by_hand_on_what_they_would_be_served(window: JudgedWindow) -> None:
    """The first known films are left out, an unknown liked film is a miss, a stranger to the model gets Popular."""
    judgement = judge(fitted(FixedScores([4, 3, 2, 1])), window, 2)
    assert judgement.recommended.tolist() == [[3, 4], [4, 2], [1, 3]]
    assert judgement.per_user["recall"][:2].tolist() == [0.5, 1.0]
    assert judgement.ndcg[:2].round(3).tolist() == [0.613, 1.0]
    assert np.isnan(judgement.ndcg[2])
    assert (judgement.n_judged, judgement.coverage) == (2, 1.0)
    assert not judgement.predicts_stars


def test_rating_errors_are_over_the_held_out_films_that_the_model_knows(window: JudgedWindow) -> None:
    """Held out and known are 5, 4 and 1 stars against a prediction of 3: the root of (4 + 1 + 4) / 3."""
    judgement = judge(fitted(FixedStars([4, 3, 2, 1])), window, 2)
    assert judgement.n_predicted.tolist() == [1, 1, 1]
    assert judgement.rmse == pytest.approx(3**0.5)
    assert judgement.mae == pytest.approx(5 / 3)


def test_means_come_by_length_of_history(window: JudgedWindow) -> None:
    """Everybody here has a short history; the longer ones have no mean."""
    judgement = judge(fitted(FixedScores([4, 3, 2, 1])), window, 2)
    assert judgement.users_by_segment() == {"1-4": 2, "5-19": 0, "20+": 0}
    assert judgement.ndcg_by_segment()["1-4"] == pytest.approx(judgement.metrics()["ndcg_at_2"])
    assert np.isnan(judgement.ndcg_by_segment()["20+"])


def test_a_list_longer_than_the_catalogue_has_empty_places(window: JudgedWindow) -> None:
    """Places beyond the last film are no hits and no films."""
    judgement: Judgement = judge(fitted(FixedScores([4, 3, 2, 1])), window, 6)
    assert (judgement.recommended[0, 2:] == -1).all()
    assert judgement.per_user["precision"][0] == pytest.approx(1 / 6)


def test_the_overlap_of_lists_is_the_share_in_common(window: JudgedWindow) -> None:
    """A list shares all with itself and one of two films with another."""
    one = judge(fitted(FixedScores([4, 3, 2, 1])), window, 1)
    other = judge(fitted(FixedScores([1, 2, 3, 4])), window, 1)
    assert list_overlap(one, one) == 1.0
    assert list_overlap(one, other) == pytest.approx(1 / 3)
