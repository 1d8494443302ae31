"""Weights between films, dense and sparse: equal scores, and arrays that keep their form."""

import numpy as np
import pytest
from small_ratings import drawn_matrix, history_of, ignore

from cineclub.domain.errors import BrokenArtifact
from cineclub.models import movie_weights
from cineclub.models.movie_weights import DenseWeights, SparseWeights
from cineclub.models.slist import Slist, SlistHyperparameters

PEOPLE = [history_of(stars) for stars in ({0: 5.0, 3: 1.0, 7: 4.0}, {}, {14: 3.0}, {5: 4.5, 0: 0.5})]


@pytest.fixture(params=["dense", "sparse"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Slist:
    """Return a model of either form, the sparse one of five films each."""
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0 if request.param == "sparse" else 1000)
    monkeypatch.setattr(movie_weights, "N_CHOSEN_MOVIES", 5)
    fitted = Slist.fit(drawn_matrix(), SlistHyperparameters(), np.random.default_rng(0), ignore)
    assert isinstance(fitted.weights, SparseWeights if request.param == "sparse" else DenseWeights)
    return fitted


def test_many_are_scored_as_each_is(model: Slist) -> None:
    """Scores of a batch equal single ones up to rounding."""
    together = model.scores_of_many(PEOPLE)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, [model.scores(person) for person in PEOPLE], rtol=1e-5, atol=1e-7)
    assert model.scores_of_many([]).shape == (0, 15)


def test_reasons_add_up(model: Slist) -> None:
    """The contributions of the rated films sum to the score."""
    for person in PEOPLE:
        reasons = model.predict(person).explain(np.arange(15, dtype=np.int32))
        np.testing.assert_allclose(reasons.sum(axis=1), model.scores(person), atol=1e-6)


def test_a_model_comes_back_from_its_arrays(model: Slist) -> None:
    """Each form is restored from its arrays with the same scores, byte for byte."""
    back = Slist.from_arrays(model.arrays())
    assert type(back.weights) is type(model.weights)
    assert all(back.scores(person).tobytes() == model.scores(person).tobytes() for person in PEOPLE)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("weight_starts", lambda starts: starts[::-1].copy()),
        ("weight_starts", lambda starts: starts[:0]),
        ("weight_targets", lambda targets: targets + np.int32(15)),
        ("weight_targets", lambda targets: targets[:-1]),
        ("weights", lambda weights: weights[:-1]),
    ],
)
def test_sparse_arrays_that_do_not_fit_are_refused(name: str, spoil: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decreasing row bounds and unknown films are refused."""
    monkeypatch.setattr(movie_weights, "MOST_DENSE_MOVIES", 0)
    arrays = dict(Slist.fit(drawn_matrix(), SlistHyperparameters(), np.random.default_rng(0), ignore).arrays())
    assert callable(spoil)
    with pytest.raises(BrokenArtifact):
        Slist.from_arrays({**arrays, name: spoil(arrays[name])})
