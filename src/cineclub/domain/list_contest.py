"""Whether one version's lists held more of what people liked than another's: an interval or a test, and a verdict."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from cineclub.domain.live_comparison import (
    FEWEST_EFFECTIVE_PEOPLE,
    PROBATION_CONFIDENCE,
    SHADOW_CONFIDENCE,
    ComparisonVerdict,
    PairOutcomes,
    PairVerdict,
)
from cineclub.domain.significance import Interval, effective_users, paired_bootstrap

RESAMPLES = 4000
SEED = 2718


def judge_pair(pair: PairOutcomes) -> PairVerdict:
    """Return the verdict on a pair: with the confidence of one look of a probation, or with 95 % for a shadow.

    People are resampled as a whole, with all their films. The seed is fixed: the same outcomes give the same verdict.
    Where too few carry the difference for an interval, the exact sign test over people decides.
    """
    confidence = PROBATION_CONFIDENCE if pair.purpose == "probation" else SHADOW_CONFIDENCE
    differences = np.array([one.difference for one in pair.people], np.float64)
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
    """Return how many people speak for the other version, and how many for the served one."""
    return int((differences > 0).sum()), int((differences < 0).sum())


def _of_few(differences: NDArray[np.float64], confidence: float) -> ComparisonVerdict:
    """Return what the signs of few people say, unless their mean points the other way.

    Where many differ by a little and some by much the other way, signs alone would part with a version that people
    on the whole like better. Asking both can only make the test err less often.
    """
    found, total = by_signs(*_sides(differences), confidence), float(differences.sum())
    is_borne_out = total > 0 if found == "other_better" else total < 0
    return found if is_borne_out else "not_enough"


def by_signs(n_for_other: int, n_for_served: int, confidence: float) -> ComparisonVerdict:
    """Return the verdict of the two-sided exact sign test (Dixon and Mood, J. Amer. Statistical Association 41, 1946).

    Each person is one sign, however many films they like; those without a difference are left out. Between equal
    versions each sign is as likely as the other, so that even eight people who all point the same way are rarer than
    one time in a hundred.
    """
    n_fewer = min(n_for_other, n_for_served)
    by_chance = 2 * bdtr(n_fewer, n_for_other + n_for_served, 0.5)
    if n_for_other == n_for_served or by_chance > 1 - confidence:
        return "not_enough"
    return "other_better" if n_for_other > n_for_served else "served_better"


def _interval(differences: NDArray[np.float64], confidence: float) -> Interval | None:
    """Return the interval of the mean, None where too few people carry it; equal lists of many are a finding, too."""
    n_effective = effective_users(differences)
    is_equal = n_effective == 0 and len(differences) >= FEWEST_EFFECTIVE_PEOPLE
    if n_effective < FEWEST_EFFECTIVE_PEOPLE and not is_equal:
        return None
    return paired_bootstrap(differences, np.random.default_rng(SEED), RESAMPLES, confidence)


def _by_interval(interval: Interval) -> ComparisonVerdict:
    """Return what an interval says."""
    if interval.low > 0:
        return "other_better"
    return "served_better" if interval.high < 0 else "no_difference"
