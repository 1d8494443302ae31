"""Blend: the weighted sum of two models' scores in units of their standard deviations."""

import numpy as np
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.recommend.recommender import History
from cineclub.models.blend import Blend, BlendHyperparameters
from cineclub.models.ials import Ials
from cineclub.models.slist import Slist


def fitted(**hyperparameters: float) -> Blend:
    """Return the model of a small matrix."""
    return Blend.fit(
        drawn_matrix(n_users=400), BlendHyperparameters(**hyperparameters), np.random.default_rng(0), ignore
    )


def in_deviations(scores: np.ndarray) -> np.ndarray:
    """Return scores over their standard deviation."""
    return scores / scores.std()


def test_a_score_is_the_sum_of_both_votes() -> None:
    """The parts equal models fitted alone, weighted by the hyperparameter."""
    hyperparameters = BlendHyperparameters(ials_vote=2.0, regularization=30.0)
    rng = np.random.default_rng(0)
    alone = Slist.fit(drawn_matrix(n_users=400), hyperparameters.of_slist, rng, ignore)
    other = Ials.fit(drawn_matrix(n_users=400), hyperparameters.of_ials, rng, ignore)
    history = history_of({0: 5.0, 3: 4.5, 8: 2.0})
    expected = in_deviations(alone.scores(history)) + 2 * in_deviations(other.scores(history))
    np.testing.assert_allclose(fitted(ials_vote=2.0, regularization=30.0).scores(history), expected, rtol=1e-4)


def test_without_a_vote_it_ranks_as_slist_does() -> None:
    """Without the second vote the ranking is that of SLIST."""
    model = fitted(ials_vote=0.0)
    history = history_of({0: 5.0, 3: 4.5})
    np.testing.assert_array_equal(np.argsort(model.scores(history)), np.argsort(model.slist.scores(history)))


def test_nobody_has_scores_without_a_vote_of_either() -> None:
    """An empty history gives scores of zero without a division by zero."""
    scores = fitted().scores(History(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64)))
    assert not scores.any()
