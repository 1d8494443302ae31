"""Whether one version's lists held more of what people liked than another's: an interval, and a verdict on it."""

from dataclasses import dataclass

import numpy as np

from cineclub.domain.live_comparison import (
    PROBATION_CONFIDENCE,
    SHADOW_CONFIDENCE,
    ComparisonVerdict,
    PairOutcomes,
)
from cineclub.domain.significance import Interval, effective_users, paired_bootstrap

FEWEST_EFFECTIVE_PEOPLE = 20
"""Below so many people who carry a difference an interval is not to be trusted."""

RESAMPLES = 4000
SEED = 2718


@dataclass(frozen=True, slots=True)
class ListContest:
    """The verdict on a pair of versions with the interval of the difference, other minus served, over people.

    The difference is the share of the films a person liked that only the other's lists held, minus the share that only
    the served lists held.
    """

    verdict: ComparisonVerdict
    interval: Interval
    n_effective: float

    def in_words(self, served_version: int, other_version: int) -> str:
        """Return one sentence that says what was found."""
        interval = self.interval
        people = f"{interval.n_users} people"
        if self.verdict == "not_enough":
            needed = f"{FEWEST_EFFECTIVE_PEOPLE} must carry a difference"
            return f"not enough evidence: {people} liked a film of a list, {self.n_effective:.0f} carry it; {needed}"
        span = f"{interval.confidence * 100:.3g} % interval {interval.low:+.3f} to {interval.high:+.3f}"
        return (
            f"lists of version {other_version} against version {served_version}: {interval.mean:+.3f} of the liked "
            f"films over {people}, {span}"
        )


def judge_pair(pair: PairOutcomes) -> ListContest:
    """Return the verdict on a pair: with the confidence of one look of a probation, or with 95 % for a shadow.

    People are resampled as a whole, with all their films. The seed is fixed: the same outcomes give the same verdict.
    """
    confidence = PROBATION_CONFIDENCE if pair.purpose == "probation" else SHADOW_CONFIDENCE
    differences = np.array([one.difference for one in pair.people], np.float64)
    interval = paired_bootstrap(differences, np.random.default_rng(SEED), RESAMPLES, confidence)
    n_effective = effective_users(differences)
    return ListContest(_verdict(interval, n_effective), interval, n_effective)


def _verdict(interval: Interval, n_effective: float) -> ComparisonVerdict:
    """Return what an interval says."""
    if interval.n_users >= FEWEST_EFFECTIVE_PEOPLE and n_effective == 0:
        return "no_difference"
    if n_effective < FEWEST_EFFECTIVE_PEOPLE:
        return "not_enough"
    if interval.low > 0:
        return "other_better"
    return "served_better" if interval.high < 0 else "no_difference"
