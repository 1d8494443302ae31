"""How good lists were: whether each held the film that its person rated next, day by day and against others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.metrics import hit, ndcg_at_k
from cineclub.domain.significance import Interval, paired_bootstrap

TOP_K = 10
CONFIDENCE = 0.95
N_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Every question of the month, in order of time.

    Attributes:
        days: (n,) the day, from 1.
        user_codes: (n,) who asked.
        movie_codes: (n,) the film they rated next.
        versions: (n,) the version that answered.
        ranks: (n,) the place of that film in the list, from 1; 0 where the list did not hold it.
    """

    days: NDArray[np.int64]
    user_codes: NDArray[np.int64]
    movie_codes: NDArray[np.int64]
    versions: NDArray[np.int64]
    ranks: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.days)

    def take(self, rows: NDArray[np.int64]) -> "Asked":
        """Return some of the questions by their positions, shape (m,)."""
        return Asked(
            self.days[rows], self.user_codes[rows], self.movie_codes[rows], self.versions[rows], self.ranks[rows]
        )


def hits_of(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 for each list, shape (n,), that held the film, else 0.

    >>> hits_of(np.array([1, 0, 7]))
    array([1., 0., 1.])
    """
    return hit(_places(ranks), _one_each(ranks))


def gains_of(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the nDCG@10 of each list, shape (n,), of which one film is relevant.

    >>> gains_of(np.array([1, 0, 3])).round(2)
    array([1. , 0. , 0.5])
    """
    return ndcg_at_k(_places(ranks), _one_each(ranks))


def by_day(values: NDArray[np.float64], days: NDArray[np.int64], n_days: int) -> list[float | None]:
    """Return the mean of each day, None for a day without questions."""
    counts = np.bincount(days - 1, minlength=n_days)
    sums = np.bincount(days - 1, weights=values, minlength=n_days)
    return [float(total / n) if n else None for total, n in zip(sums, counts, strict=True)]


def ahead(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    user_codes: NDArray[np.int64],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return by how much lists were better than others to the same questions, each person with one vote.

    People are resampled as a whole, with all that they asked.
    """
    _, people = np.unique(user_codes, return_inverse=True)
    differences = np.bincount(people, weights=ours - theirs) / np.bincount(people) if len(people) else np.empty(0)
    return paired_bootstrap(differences, rng, N_RESAMPLES, confidence)


def confidence_of_each(n_judged: int) -> float:
    """Return the confidence of each of some intervals such that all together have 95 % (Bonferroni).

    Thirty nights of equally good versions would else have one that hindsight calls worse by chance.

    >>> round(confidence_of_each(10), 3)
    0.995
    """
    return 1 - (1 - CONFIDENCE) / max(1, n_judged)


def sample_of(days: NDArray[np.int64], most_a_day: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the positions, rising, of at most so many questions of each day."""
    chosen = [
        np.sort(rng.choice(rows, min(most_a_day, len(rows)), replace=False))
        for day in np.unique(days)
        if len(rows := np.flatnonzero(days == day))
    ]
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _places(ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which place of each list, shape (n, TOP_K), holds the film."""
    places: NDArray[np.bool_] = ranks[:, None] == np.arange(1, TOP_K + 1)
    return places


def _one_each(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many films are relevant for each list: one."""
    return np.ones(len(ranks), np.int64)
