"""The weights of the combination: the best single source, and what the events teach beyond it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cineclub.models.combination.features import FEATURES, OF_BASES, OF_MOVIES, SMALLEST_DEVIATION, Standard
from cineclub.models.combination.learning import Lesson

if TYPE_CHECKING:
    from cineclub.models.kernels.conditional_logit import Choices

FEWEST_EVENTS = 100
"""With fewer likes the scores are those of the best single source."""

SOURCES_OF_MOVIES = ("all_time", *(name for name in OF_MOVIES if name.startswith("trend_")))
SOURCES = (*SOURCES_OF_MOVIES, *OF_BASES)
"""The features that rank well alone; the first is taken where nothing is known."""

TIE_BREAK = 1e-4
"""The weight of the likes of all time, which orders movies that a single source does not know."""

SOURCE_STRENGTH = 1e-3


def learned_weights(lesson: Lesson, standard: Standard, shrinkage: float) -> NDArray[np.float64]:
    """Return the weights that make the chosen candidates most probable, of people with and without a history.

    They minimize minus the log-likelihood of the events plus ``shrinkage`` / 2 times the squared distance, in
    deviations of the features, from the best single source. Those of people with a history are learned from their
    likes. Those of people without one are of the features of movies alone: learned from the likes of everybody first,
    and then, near these, from the likes without a history.

    Returns:
        (2, len(FEATURES)), first those of people with a history.
    """
    from cineclub.models.kernels.conditional_logit import Choices, Ridge, fitted_weights

    if not lesson.events:
        return np.stack([single_source("all_time", 1.0)] * 2)
    features = lesson.features(standard)
    spread = np.array([column.std(dtype=np.float64) for column in features.T])  # all at once copy the table twice
    deviations = np.where(spread > SMALLEST_DEVIATION, spread, 1.0)
    features /= deviations.astype(np.float32)
    choices = Choices(features, lesson.starts, lesson.chosen, lesson.event_weights)
    of_movies = choices.only(list(range(len(OF_MOVIES))))
    best, best_of_movies = _best_source(choices, SOURCES), _best_source(of_movies, SOURCES_OF_MOVIES)
    if len(lesson.events) < FEWEST_EVENTS:
        return np.stack([single_source(source, 1.0) for source, _ in (best, best_of_movies)])
    likes_of_known = replace(choices, event_weights=choices.event_weights * lesson.has_history)
    known = fitted_weights(likes_of_known, Ridge(_prior(*best), np.full(len(FEATURES), shrinkage)))
    strength = np.full(len(OF_MOVIES), shrinkage)
    everybody = fitted_weights(of_movies, Ridge(_prior(*best_of_movies)[: len(OF_MOVIES)], strength))
    likes_of_new = replace(of_movies, event_weights=of_movies.event_weights * ~lesson.has_history)
    new = np.zeros(len(FEATURES))
    new[: len(OF_MOVIES)] = fitted_weights(likes_of_new, Ridge(everybody, strength))
    weights: NDArray[np.float64] = np.stack((known, new)) / deviations
    return weights


def _prior(source: str, weight: float) -> NDArray[np.float64]:
    """Return the weights of one source alone, shape (len(FEATURES),)."""
    prior = np.zeros(len(FEATURES))
    prior[FEATURES.index(source)] = weight
    return prior


def single_source(name: str, weight: float) -> NDArray[np.float64]:
    """Return the weights of one source alone, shape (len(FEATURES),); popular movies first among equals."""
    weights = _prior("all_time", TIE_BREAK)
    weights[FEATURES.index(name)] = weight
    return weights


def _best_source(choices: "Choices", sources: Sequence[str]) -> tuple[str, float]:
    """Return the source under which, with a weight of its own, the events are most probable, and that weight."""
    from cineclub.models.kernels.conditional_logit import Ridge, fitted_weights, loss_of

    best, least = (sources[0], 1.0), np.inf
    for name in sources:
        alone, ridge = choices.only([FEATURES.index(name)]), Ridge(np.zeros(1), np.full(1, SOURCE_STRENGTH))
        weight = fitted_weights(alone, ridge)
        loss = loss_of(alone, ridge, weight)
        if loss < least and weight[0] > 0:
            best, least = (name, float(weight[0])), loss
    return best
