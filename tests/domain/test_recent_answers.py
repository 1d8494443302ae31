"""The bounded memory of answers."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from cineclub.domain.choice import Choice
from cineclub.domain.questions import GivenRating, Question
from cineclub.domain.ratings import Movie, RatingScale, UserRatings
from cineclub.domain.recent_answers import RecentAnswers
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommendations import ListedFilms, Recommendation
from cineclub.domain.recommender import FittedModel
from cineclub.models.random import Random

QUESTION = Question(10, "u")


def history() -> UserRatings:
    """Return a history of its own, equal to every other of this test."""
    return UserRatings(np.array([1]), np.array([4], np.float32), np.array([0]))


def model() -> FittedModel:
    """Return a model of its own, equal to every other of this test."""
    scores = np.zeros(1, np.float32)
    return FittedModel(Recipe("random"), Random(scores), np.array([1]), scores, RatingScale(1, 5))


def listed(n_films: int) -> ListedFilms:
    """Return an answer of so many films."""
    film = Movie(1, "1", "One", 1999, ())
    return ListedFilms("model", tuple(Recommendation(rank, film, 0.0) for rank in range(1, n_films + 1)))


def test_an_answer_is_good_for_the_same_question_history_and_model() -> None:
    """Another question, another history, or an equal model that is another object, is answered anew."""
    answers, known, fitted, films = RecentAnswers(), history(), model(), listed(10)
    answers.remember(QUESTION, known, fitted, films)
    assert answers.recall(Question(10, "u"), known, fitted) is films
    assert answers.recall(Question(11, "u"), known, fitted) is None
    assert answers.recall(replace(QUESTION, choice=Choice(genres=("Drama",))), known, fitted) is None
    assert answers.recall(QUESTION, history(), fitted) is films
    assert answers.recall(QUESTION, known, model()) is None
    assert answers.recall(Question(10, "other"), known, fitted) is None


@pytest.mark.parametrize("changed", ["movie_ids", "ratings", "rated_at"])
def test_any_change_of_the_history_is_seen(changed: str) -> None:
    """A history read anew is the same only if every film, rating and time is."""
    answers, known, fitted = RecentAnswers(), history(), model()
    answers.remember(QUESTION, known, fitted, listed(10))
    assert answers.recall(QUESTION, replace(known, **{changed: getattr(known, changed) + 1}), fitted) is None
    assert answers.recall(QUESTION, UserRatings.none(), fitted) is None


def test_somebody_without_an_account_is_not_remembered() -> None:
    """Ratings that came with the question are nobody's history."""
    answers, known, fitted = RecentAnswers(), history(), model()
    question = Question(10, None, (GivenRating("1", 4),))
    answers.remember(question, known, fitted, listed(10))
    assert answers.recall(question, known, fitted) is None
    assert len(answers) == 0


def test_the_memory_is_bounded_by_films() -> None:
    """Whoever was seen longest ago is forgotten first, and a new answer takes the place of the user's old one."""
    answers, known, fitted = RecentAnswers(max_films=20), history(), model()
    for user_id in ("a", "a", "b"):
        answers.remember(Question(10, user_id), known, fitted, listed(10))
    assert answers.recall(Question(10, "a"), known, fitted) is not None
    answers.remember(Question(10, "c"), known, fitted, listed(1))
    assert answers.recall(Question(10, "b"), known, fitted) is None
    assert answers.recall(Question(10, "a"), known, fitted) is not None
    answers.remember(Question(50, "d"), known, fitted, listed(50))
    assert len(answers) == 0


def test_answers_without_films_and_long_histories_take_room_too() -> None:
    """Nobody can fill the memory by asking for what there is not, or with a long history."""
    answers, fitted = RecentAnswers(max_films=20), model()
    for number in range(1000):
        answers.remember(Question(10, str(number)), history(), fitted, listed(0))
    assert len(answers) == 20
    long = UserRatings(np.arange(500), np.ones(500, np.float32), np.arange(500))
    answers.remember(Question(10, "long"), long, fitted, listed(1))
    assert len(answers) == 0


def test_a_former_model_is_let_go() -> None:
    """After a hot reload the model before leaves the memory at once, and its answers at the first new one."""
    answers, known, former = RecentAnswers(), history(), model()
    alive = weakref.ref(former.popularity)
    answers.remember(QUESTION, known, former, listed(10))
    del former
    gc.collect()
    assert alive() is None
    answers.remember(Question(10, "other"), known, model(), listed(10))
    assert len(answers) == 1


def test_a_forgotten_user_leaves_room() -> None:
    """Nothing of an erased user stays."""
    answers, known, fitted = RecentAnswers(max_films=20), history(), model()
    for user_id in ("a", "b"):
        answers.remember(Question(10, user_id), known, fitted, listed(10))
    answers.forget("a")
    answers.forget("nobody")
    answers.remember(Question(10, "c"), known, fitted, listed(10))
    assert len(answers) == 2
    assert answers.recall(Question(10, "a"), known, fitted) is None
