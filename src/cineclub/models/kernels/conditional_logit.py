"""Conditional logit, compiled: the choice of one candidate among those of an event (McFadden 1974), by Newton's method.

The probability of a candidate is its share of the sum of exp(weights . features) over the event's candidates. The loss
is the sum over the events of their weight times minus the logarithm of the chosen one's probability, plus a ridge
penalty around a prior. It is convex, so that Newton's method finds the one minimum. All sums are in double precision
and in the order of the events.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

MAX_STEPS = 40
LEAST_SHARE = 1e-6
SMALL_DECREASE = 1e-9
SUFFICIENT_SHARE = 1e-4
"""A step is taken if the loss falls by this share of what its slope promises (Armijo 1966)."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Events with their candidates in compressed rows.

    Attributes:
        features: (n_candidates, n_features) of the candidates of all events.
        starts: (n_events + 1,) the start of each event's candidates.
        chosen: (n_events,) the row of the chosen candidate.
        event_weights: (n_events,) at least 0.
    """

    features: NDArray[np.float32]
    starts: NDArray[np.int64]
    chosen: NDArray[np.int64]
    event_weights: NDArray[np.float64]

    def only(self, columns: list[int]) -> "Choices":
        """Return the choices with a few of the features."""
        features = np.ascontiguousarray(self.features[:, columns])
        return Choices(features, self.starts, self.chosen, self.event_weights)


@dataclass(frozen=True, slots=True)
class Ridge:
    """The penalty ``strength`` / 2 x (weight - prior)^2 of each weight, in units of the events' weights.

    Attributes:
        prior: (n_features,) the weights that few events leave unchanged.
        strength: (n_features,) above 0.
    """

    prior: NDArray[np.float64]
    strength: NDArray[np.float64]


def loss_of(choices: Choices, ridge: Ridge, weights: NDArray[np.float64]) -> float:
    """Return the loss of weights, shape (n_features,)."""
    loss = _loss(choices.features, choices.starts, choices.chosen, choices.event_weights, weights)
    return float(loss) + float(ridge.strength @ (weights - ridge.prior) ** 2) / 2


def derivatives_of(
    choices: Choices, ridge: Ridge, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradient, shape (n_features,), and the curvature, shape (n_features, n_features), of the loss."""
    gradient, lower = _derivatives(choices.features, choices.starts, choices.chosen, choices.event_weights, weights)
    curvature = lower + np.tril(lower, -1).T + np.diag(ridge.strength)
    return gradient + ridge.strength * (weights - ridge.prior), curvature


def fitted_weights(choices: Choices, ridge: Ridge) -> NDArray[np.float64]:
    """Return the weights of the least loss, shape (n_features,); the prior without events."""
    weights, loss = ridge.prior.copy(), loss_of(choices, ridge, ridge.prior)
    for _ in range(MAX_STEPS):
        gradient, curvature = derivatives_of(choices, ridge, weights)
        step = np.linalg.solve(curvature, gradient)
        decrease = float(step @ gradient)
        if not decrease > SMALL_DECREASE * choices.event_weights.sum():
            break
        share, nearer = 1.0, weights - step
        while (nearer_loss := loss_of(choices, ridge, nearer)) > loss - SUFFICIENT_SHARE * share * decrease:
            share /= 2
            if share < LEAST_SHARE:
                return weights
            nearer = weights - share * step
        weights, loss = nearer, nearer_loss
    return weights


@numba.njit(cache=True, nogil=True)
def _exponents(features: Any, first: int, end: int, weights: Any) -> Any:
    """Return weights . features of the candidates of one event, less the largest of them."""
    exponents = np.zeros(end - first)
    for row in range(first, end):
        for column in range(features.shape[1]):
            exponents[row - first] += features[row, column] * weights[column]
    return exponents - exponents.max()


@numba.njit(cache=True, nogil=True)
def _loss(features: Any, starts: Any, chosen: Any, event_weights: Any, weights: Any) -> float:
    """Return minus the log-likelihood, summed event by event."""
    loss = 0.0
    for event in range(len(chosen)):
        exponents = _exponents(features, starts[event], starts[event + 1], weights)
        loss += event_weights[event] * (np.log(np.exp(exponents).sum()) - exponents[chosen[event] - starts[event]])
    return loss


@numba.njit(cache=True, nogil=True)
def _derivatives(features: Any, starts: Any, chosen: Any, event_weights: Any, weights: Any) -> Any:
    """Return the gradient and the lower half of the curvature, summed event by event."""
    n_features = features.shape[1]
    gradient, curvature = np.zeros(n_features), np.zeros((n_features, n_features))
    for event in range(len(chosen)):
        first, weight = starts[event], event_weights[event]
        shares = np.exp(_exponents(features, first, starts[event + 1], weights))
        shares /= shares.sum()
        mean = np.zeros(n_features)
        for nth, share in enumerate(shares):
            for column in range(n_features):
                part = share * features[first + nth, column]
                mean[column] += part
                for other in range(column + 1):
                    curvature[column, other] += weight * part * features[first + nth, other]
        for column in range(n_features):
            gradient[column] += weight * (mean[column] - features[chosen[event], column])
            for other in range(column + 1):
                curvature[column, other] -= weight * mean[column] * mean[other]
    return gradient, curvature
