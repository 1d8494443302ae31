"""The conditional logit: derivatives, known weights, and the limits of the penalty."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cineclub.models.kernels.conditional_logit import Choices, Ridge, derivatives_of, fitted_weights, loss_of

STEP = 1e-5
few_examples = settings(max_examples=20, deadline=None)


def drawn_choices(seed: int, n_events: int = 30, n_features: int = 4, weights: np.ndarray | None = None) -> Choices:
    """Return events of 1 to 8 candidates; with weights the chosen ones follow them, else chance."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate(([0], np.cumsum(rng.integers(1, 9, n_events)))).astype(np.int64)
    features = rng.normal(size=(starts[-1], n_features)).astype(np.float32)
    utility = np.zeros(len(features)) if weights is None else features @ weights
    utility = utility + rng.gumbel(size=len(features))
    chosen = [first + int(np.argmax(utility[first:end])) for first, end in pairwise(starts.tolist())]
    return Choices(features, starts, np.array(chosen, np.int64), rng.uniform(0.5, 2.0, n_events))


def ridge_of(n_features: int, strength: float, prior: float = 0.0) -> Ridge:
    """Return the same prior and strength for every weight."""
    return Ridge(np.full(n_features, prior), np.full(n_features, strength))


@few_examples
@given(seed=st.integers(0, 10_000), strength=st.floats(0.01, 10.0))
def test_the_derivatives_are_those_of_the_loss(seed: int, strength: float) -> None:
    """Gradient and curvature equal finite differences of the loss and of the gradient."""
    choices, ridge = drawn_choices(seed), ridge_of(4, strength, prior=0.3)
    weights = np.random.default_rng(seed).normal(size=4)
    gradient, curvature = derivatives_of(choices, ridge, weights)
    for column in range(4):
        step = np.zeros(4)
        step[column] = STEP
        slope = (loss_of(choices, ridge, weights + step) - loss_of(choices, ridge, weights - step)) / (2 * STEP)
        bend = derivatives_of(choices, ridge, weights + step)[0] - derivatives_of(choices, ridge, weights - step)[0]
        assert gradient[column] == pytest.approx(slope, abs=1e-4)
        np.testing.assert_allclose(curvature[:, column], bend / (2 * STEP), atol=1e-4)


@few_examples
@given(seed=st.integers(0, 10_000))
def test_no_other_weights_have_a_smaller_loss(seed: int) -> None:
    """At the fitted weights the gradient is zero, and nearby weights are worse."""
    choices, ridge = drawn_choices(seed), ridge_of(4, 0.5)
    weights = fitted_weights(choices, ridge)
    assert np.abs(derivatives_of(choices, ridge, weights)[0]).max() < 1e-2
    near = weights + np.random.default_rng(seed).normal(scale=0.1, size=4)
    assert loss_of(choices, ridge, weights) < loss_of(choices, ridge, near)


def test_known_weights_are_recovered() -> None:
    """Choices generated from weights teach these weights."""
    weights = np.array([1.5, -0.7, 0.0, 0.4])
    learned = fitted_weights(drawn_choices(1, n_events=20_000, weights=weights), ridge_of(4, 1.0))
    np.testing.assert_allclose(learned, weights, atol=0.05)


def test_an_infinite_pull_leaves_the_prior() -> None:
    """The stronger the penalty, the nearer the weights are to the prior; without events they are the prior."""
    choices = drawn_choices(2, weights=np.array([2.0, 0.0, 0.0, 0.0]))
    distances = [np.abs(fitted_weights(choices, ridge_of(4, pull, 0.5)) - 0.5).max() for pull in (0.1, 10.0, 1e9)]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-6
    nothing = Choices(np.empty((0, 4), np.float32), np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0))
    assert fitted_weights(nothing, ridge_of(4, 1.0, 0.5)).tolist() == [0.5] * 4


def test_one_candidate_and_huge_features_give_finite_weights() -> None:
    """An event with one candidate teaches nothing, and large features do not overflow."""
    alone = Choices(np.ones((1, 2), np.float32), np.array([0, 1]), np.array([0]), np.ones(1))
    assert fitted_weights(alone, ridge_of(2, 1.0)).tolist() == [0.0, 0.0]
    huge = drawn_choices(3)
    huge = Choices(huge.features * np.float32(1e4), huge.starts, huge.chosen, huge.event_weights)
    assert np.isfinite(fitted_weights(huge, ridge_of(4, 1.0))).all()


@few_examples
@given(seed=st.integers(0, 10_000))
def test_the_order_of_candidates_does_not_matter(seed: int) -> None:
    """Reversed candidates of every event give the same weights up to rounding."""
    choices = drawn_choices(seed)
    order = np.concatenate(
        [np.arange(first, end)[::-1] for first, end in zip(choices.starts, choices.starts[1:], strict=False)]
    )
    chosen = choices.starts[:-1] + choices.starts[1:] - 1 - choices.chosen
    turned = Choices(choices.features[order], choices.starts, chosen, choices.event_weights)
    ridge = ridge_of(4, 0.5)
    np.testing.assert_allclose(fitted_weights(turned, ridge), fitted_weights(choices, ridge), atol=1e-6)
