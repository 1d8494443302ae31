"""Offline and live: how well the figures of trainings agree with those of the month, over its versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.month.scores import TOP_K, hits_of, ndcg_of

FEWEST_VERSIONS = 3
"""With two versions every correlation is 1 or -1."""

FEWEST_REQUESTS = 50
"""Versions with fewer requests have no figure: it would be chance."""

OFFLINE = {"hit_rate": f"hit_rate_at_{TOP_K}", "ndcg": f"ndcg_at_{TOP_K}"}
"""The metrics of a registered version by the name of the measure: those of its training's test window."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Hit rate and nDCG of a version's lists; None without enough requests, or without an evaluation."""

    n_requests: int
    hit_rate: float | None
    ndcg: float | None

    @classmethod
    def of_ranks(cls, ranks: NDArray[np.int64]) -> "Measured":
        """Return the figures of lists in which the next movie has these ranks, shape (n,)."""
        if len(ranks) < FEWEST_REQUESTS:
            return cls(len(ranks), None, None)
        return cls(len(ranks), float(hits_of(ranks).mean()), float(ndcg_of(ranks).mean()))

    @classmethod
    def of_training(cls, metrics: Mapping[str, float]) -> "Measured":
        """Return the figures that were registered with a version."""
        return cls(0, metrics.get(OFFLINE["hit_rate"]), metrics.get(OFFLINE["ndcg"]))


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """A version of the month.

    Attributes:
        version: its number.
        model: the name of its model.
        offline: on the test window of its training.
        live: of the lists that it served.
        hindsight: of its lists for a sample of the requests of the days after its registration.
    """

    version: int
    model: str
    offline: Measured
    live: Measured
    hindsight: Measured


@dataclass(frozen=True, slots=True)
class Agreement:
    """Correlations over versions between the figure of the training and another; None with fewer than three.

    Attributes:
        measure: hit rate or nDCG.
        against: the figure that it is compared with: live or hindsight.
        n_versions: the number of versions with both figures.
        pearson: the correlation of the figures.
        spearman: that of their ranks.
    """

    measure: str
    against: str
    n_versions: int
    pearson: float | None
    spearman: float | None


def agreement_of(versions: Sequence[VersionFigures]) -> tuple[Agreement, ...]:
    """Return the agreement of both measures with the live figures and with those in hindsight."""
    return tuple(
        _agreement(versions, measure, against) for measure in ("hit_rate", "ndcg") for against in ("live", "hindsight")
    )


def _agreement(versions: Sequence[VersionFigures], measure: str, against: str) -> Agreement:
    """Return the agreement of one measure with one figure."""
    pairs = [(getattr(version.offline, measure), getattr(getattr(version, against), measure)) for version in versions]
    known = np.array([pair for pair in pairs if None not in pair], np.float64).reshape(-1, 2)
    ranked = rankdata(known, axis=0) if len(known) else known
    name = measure.replace("_", " ").replace("ndcg", "nDCG")
    return Agreement(name, against, len(known), _correlation(known), _correlation(ranked))


def _correlation(pairs: NDArray[np.float64]) -> float | None:
    """Return the correlation of two columns, shape (n, 2); None for few rows, or a column of equal values."""
    if len(pairs) < FEWEST_VERSIONS or (pairs == pairs[0]).all(axis=0).any():
        return None
    correlations: NDArray[np.float64] = np.asarray(np.corrcoef(pairs.T), np.float64)
    return float(correlations[0, 1])
