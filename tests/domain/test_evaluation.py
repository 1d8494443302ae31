"""Evaluation of the lists that are served, for each user."""

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import pytest
from log_strategies import log_of

from cineclub.domain.evaluation.evaluate import Evaluation, evaluate, list_overlap
from cineclub.domain.evaluation.prequential import walk_from
from cineclub.domain.evaluation.splitting import EvaluationWindow, split_at
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, History, Prediction, nothing_moved

MOVIES = np.array([1, 2, 3, 4], np.int64)


class FixedScores:
    """A model of four films with fixed scores that uses ratings of films 1 and 2 only."""

    name: ClassVar[str] = "fixed"
    is_personal: ClassVar[bool] = True

    def __init__(self, scores: list[float]) -> None:
        """Keep the scores."""
        self._scores = np.array(scores, np.float32)

    def scores(self, _history: History) -> np.ndarray:
        """Return the scores."""
        return self._scores

    def uses(self, history: History) -> np.ndarray:
        """Return which ratings are of films 1 and 2."""
        return history.movie_indices < 2

    def predict(self, history: History) -> Prediction:
        """Return scores without contributions."""
        return Prediction(self.scores(history), self.uses(history), nothing_moved(history))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the scores as arrays."""
        return {"scores": self._scores}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the model of the scores."""
        return cls(arrays["scores"].tolist())


class FixedStars(FixedScores):
    """The same model, which predicts three stars for every film."""

    def predict_stars(self, _history: History, movie_indices: np.ndarray) -> np.ndarray:
        """Return three stars for each film."""
        return np.full(len(movie_indices), 3, np.float32)


def fitted(recommender: FixedScores) -> FittedModel:
    """Return the fitted model, with film 4 the most popular."""
    popularity = np.array([1, 2, 3, 4], np.float32)
    return FittedModel(Recipe("fixed"), recommender, MOVIES, popularity, log_of([]).scale)


@pytest.fixture
def window() -> EvaluationWindow:
    """Return three users: 1 rated film 1 and liked 3 and 9, 2 rated 3 and liked 4, 3 rated 2 and disliked 4."""
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


def test_each_person_is_evaluated_by_hand_on_their_served_list(window: EvaluationWindow) -> None:
    """Seen films are left out, an unknown liked film is a miss, and a new user gets Popular: metrics by hand."""
    evaluation = evaluate(fitted(FixedScores([4, 3, 2, 1])), window, 2)
    assert evaluation.recommended.tolist() == [[3, 4], [4, 2], [1, 3]]
    assert evaluation.per_user["recall"][:2].tolist() == [0.5, 1.0]
    assert evaluation.ndcg[:2].round(3).tolist() == [0.613, 1.0]
    assert np.isnan(evaluation.ndcg[2])
    assert (evaluation.n_evaluated_users, evaluation.coverage) == (2, 1.0)
    assert not evaluation.predicts_stars


def test_rating_errors_are_over_the_held_out_movies_that_the_model_knows(window: EvaluationWindow) -> None:
    """The RMSE covers the held-out films that the model knows: sqrt((4 + 1 + 4) / 3)."""
    evaluation = evaluate(fitted(FixedStars([4, 3, 2, 1])), window, 2)
    assert evaluation.n_predicted.tolist() == [1, 1, 1]
    assert evaluation.rmse == pytest.approx(3**0.5)
    assert evaluation.mae == pytest.approx(5 / 3)


def test_means_come_by_length_of_history(window: EvaluationWindow) -> None:
    """All histories are short; the groups of longer histories have no mean."""
    evaluation = evaluate(fitted(FixedScores([4, 3, 2, 1])), window, 2)
    assert evaluation.users_by_segment() == {"0": 0, "1-4": 2, "5-19": 0, "20+": 0}
    assert evaluation.ndcg_by_segment()["1-4"] == pytest.approx(evaluation.metrics()["ndcg_at_2"])
    assert np.isnan(evaluation.ndcg_by_segment()["20+"])


def test_a_list_longer_than_the_catalogue_has_empty_places(window: EvaluationWindow) -> None:
    """Places beyond the last film count neither as hits nor as films."""
    evaluation: Evaluation = evaluate(fitted(FixedScores([4, 3, 2, 1])), window, 6)
    assert (evaluation.recommended[0, 2:] == -1).all()
    assert evaluation.per_user["precision"][0] == pytest.approx(1 / 6)


def test_the_overlap_of_lists_is_the_share_in_common(window: EvaluationWindow) -> None:
    """A list overlaps fully with itself, and by one of two films with another."""
    alone = evaluate(fitted(FixedScores([4, 3, 2, 1])), window, 1)
    other = evaluate(fitted(FixedScores([1, 2, 3, 4])), window, 1)
    assert list_overlap(alone, alone) == 1.0
    assert list_overlap(alone, other) == pytest.approx(1 / 3)


def test_rows_without_a_list_count_for_no_overlap() -> None:
    """A rating of a prequential window that is no like has no list; the lists of the others are those that overlap."""
    before = [(9, movie, 3.0, movie) for movie in (1, 2, 3, 4)]
    log = log_of([*before, (1, 1, 5.0, 0), (1, 3, 5.0, 20), (1, 4, 1.0, 30), (2, 4, 4.0, 40), (2, 2, 5.0, 50)])
    window = walk_from(log, 10).window
    first, second = (evaluate(fitted(FixedScores(scores)), window, 1) for scores in ([4, 3, 2, 1], [4, 2, 3, 1]))
    assert (first.recommended == -1).any()
    assert list_overlap(first, first) == 1.0
    assert list_overlap(first, second) == pytest.approx(2 / 3)  # user 2 gets popular films, the same from both
