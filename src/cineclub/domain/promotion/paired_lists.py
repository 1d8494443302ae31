"""Verdict on two versions from the movies of their lists that users liked: by an interval, or by a test of signs."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from cineclub.domain.evaluation.significance import Interval, effective_users, paired_bootstrap
from cineclub.domain.promotion.online_comparison import (
    FEWEST_EFFECTIVE_PEOPLE,
    PROBATION_CONFIDENCE,
    SHADOW_CONFIDENCE,
    ComparisonVerdict,
    PairOutcomes,
    PairVerdict,
)

RESAMPLES = 4000
SEED = 2718


def evaluate_pair(pair: PairOutcomes) -> PairVerdict:
    """Return the verdict on a pair: with the confidence of one check of a probation, or with 95 % for a shadow.

    Users are resampled as a whole, with all their movies. The seed is fixed: the same outcomes give the same verdict.
    If too few users carry the difference for an interval, the exact sign test over users decides.
    """
    confidence = PROBATION_CONFIDENCE if pair.purpose == "probation" else SHADOW_CONFIDENCE
    differences = np.array([person.difference for person in pair.people], np.float64)
    n_for_other, n_for_served = _sides(differences)
    interval = _interval(differences, confidence)
    return PairVerdict(
        verdict=_by_interval(interval) if interval else _of_few(differences, confidence),
        n_people=len(differences),
        n_for_other=n_for_other,
        n_for_served=n_for_served,
        difference=float(differences.mean()) if len(differences) else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        confidence=confidence,
    )


def _sides(differences: NDArray[np.float64]) -> tuple[int, int]:
    """Return the number of users for the other version, and of those for the served one."""
    return int((differences > 0).sum()), int((differences < 0).sum())


def _of_few(differences: NDArray[np.float64], confidence: float) -> ComparisonVerdict:
    """Return the verdict of the signs of few users, unless their mean contradicts it.

    If many users differ slightly and a few strongly the other way, signs alone would reject a version that users like
    better on the whole. Requiring both only lowers the rate of errors.
    """
    verdict, total = by_signs(*_sides(differences), confidence), float(differences.sum())
    is_confirmed = total > 0 if verdict == "other_better" else total < 0
    return verdict if is_confirmed else "not_enough"


def by_signs(n_for_other: int, n_for_served: int, confidence: float) -> ComparisonVerdict:
    """Return the verdict of the two-sided exact sign test (Dixon and Mood, J. Amer. Statistical Association 41, 1946).

    Each user is one sign, however many movies they like; users without a difference are left out. Between equal
    versions both signs are equally likely, so that eight equal signs have a probability below one in a hundred.
    """
    n_fewer = min(n_for_other, n_for_served)
    by_chance = 2 * bdtr(n_fewer, n_for_other + n_for_served, 0.5)
    if n_for_other == n_for_served or by_chance > 1 - confidence:
        return "not_enough"
    return "other_better" if n_for_other > n_for_served else "served_better"


def _interval(differences: NDArray[np.float64], confidence: float) -> Interval | None:
    """Return the interval of the mean, None if too few users carry it; equal lists of many users have one too."""
    n_effective = effective_users(differences)
    is_equal = n_effective == 0 and len(differences) >= FEWEST_EFFECTIVE_PEOPLE
    if n_effective < FEWEST_EFFECTIVE_PEOPLE and not is_equal:
        return None
    return paired_bootstrap(differences, np.random.default_rng(SEED), RESAMPLES, confidence)


def _by_interval(interval: Interval) -> ComparisonVerdict:
    """Return the verdict of an interval."""
    if interval.low > 0:
        return "other_better"
    return "served_better" if interval.high < 0 else "no_difference"
