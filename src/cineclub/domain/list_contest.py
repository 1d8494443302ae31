"""Whether one version's lists held more of what people liked than another's: an interval, and a verdict on it."""

import numpy as np

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
    """
    confidence = PROBATION_CONFIDENCE if pair.purpose == "probation" else SHADOW_CONFIDENCE
    differences = np.array([one.difference for one in pair.people], np.float64)
    interval = paired_bootstrap(differences, np.random.default_rng(SEED), RESAMPLES, confidence)
    n_effective = effective_users(differences)
    is_judged = len(differences) > 0
    return PairVerdict(
        verdict=_verdict(interval, n_effective),
        n_people=interval.n_users,
        n_effective=n_effective,
        difference=interval.mean if is_judged else None,
        low=interval.low if is_judged else None,
        high=interval.high if is_judged else None,
        confidence=confidence,
    )


def _verdict(interval: Interval, n_effective: float) -> ComparisonVerdict:
    """Return what an interval says; equal lists of many people are a finding, too."""
    if interval.n_users >= FEWEST_EFFECTIVE_PEOPLE and n_effective == 0:
        return "no_difference"
    if n_effective < FEWEST_EFFECTIVE_PEOPLE:
        return "not_enough"
    if interval.low > 0:
        return "other_better"
    return "served_better" if interval.high < 0 else "no_difference"
