"""Online comparison of two versions: the similarity of their lists, and whose lists held the movies that users liked.

One of the two serves; the other, its opponent, gets the same requests beside it. A later rating is attributed to the
last compared response, at most the outcome window older, of which either list held the movie; each list that held it is
credited. Only *liked* movies count for the verdict, by the threshold of the gate (4 of 5 stars): a list is not better
for holding what people watch and dislike, and the two evaluations of a version must agree about what is good.

The served list was seen and the other was not, so ratings are biased towards the served one. The verdict that the other
is better was reached against that bias, which is right for a rollback; the verdict that the served one is better says
less.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.rollback import ROLLBACK, rollback_target

Purpose = Literal["shadow", "probation"]
ComparisonVerdict = Literal["not_enough", "no_difference", "other_better", "served_better"]

PERSISTENCE = 0.9
"""The probability that somebody who has seen a movie of a list goes on to the next one."""

CHECK_FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""The parts of a probation after which its outcomes are checked: a disaster ends early, a small loss at the end."""

PROBATION_CONFIDENCE = 1 - 0.05 / len(CHECK_FRACTIONS)
"""The confidence of each check, such that all checks of a probation together have 95 %.

A fixed 95 % interval that is checked repeatedly errs far more often than once in twenty (Armitage, McPherson and Rowe,
J. Royal Statistical Society A 132, 1969). The checks are fixed before the first outcome and share the 5 % equally
(Bonferroni), which holds under any dependence between them: the users and ratings of one check are also those of the
next one, so that sequential tests which take each user as a new draw would not be valid here.
"""

SHADOW_CONFIDENCE = 0.95


def overlap(served: Sequence[int], other: Sequence[int]) -> float:
    """Return the share, 0 to 1, of the longer list's movies that both lists hold; 1 for two empty lists."""
    longest = max(len(served), len(other))
    return len(set(served) & set(other)) / longest if longest else 1.0


def rank_overlap(served: Sequence[int], other: Sequence[int]) -> float:
    """Return the similarity of two rankings, 0 to 1, first places weighing most; 1 for equal or two empty lists.

    Rank-biased overlap (Webber, Moffat and Zobel, ACM TOIS 28, 2010) with persistence 0.9, over the places there are
    and scaled so that equal lists give 1.
    """
    n_places = max(len(served), len(other))
    if not n_places:
        return 1.0
    seen_served: set[int] = set()
    seen_other: set[int] = set()
    agreement = weight_sum = 0.0
    for place in range(n_places):
        seen_served.update(served[place : place + 1])
        seen_other.update(other[place : place + 1])
        weight = PERSISTENCE**place
        agreement += weight * len(seen_served & seen_other) / (place + 1)
        weight_sum += weight
    return agreement / weight_sum


@dataclass(frozen=True, slots=True)
class Composition:
    """The list to show, made of two rankings, and the movies that each ranking is credited for."""

    shown: tuple[int, ...]
    served_movies: tuple[int, ...]
    other_movies: tuple[int, ...]


Compose = Callable[[Sequence[int], Sequence[int]], Composition]
"""Makes the list to show of the served and the other ranking: the seam for interleaving.

Team-draft interleaving (Radlinski, Kurup and Joachims, CIKM 2008) would show movies of both in turn and credit each
ranking with those that it put there. The movies credited to each side are stored, counted and evaluated, so that only
this function and the moment of the call (before the response instead of after it) would change.
"""


def served_alone(served: Sequence[int], other: Sequence[int]) -> Composition:
    """Return the served list as the shown one, each side credited for its own list."""
    return Composition(tuple(served), tuple(served), tuple(other))


@dataclass(frozen=True, slots=True)
class PersonOutcomes:
    """Counts of the movies a user liked: on the served lists only, on the other's only, on both; not all are 0."""

    n_served_only: int
    n_other_only: int
    n_both: int

    @property
    def difference(self) -> float:
        """The share of these movies that only the other's lists held minus the share that only the served ones held.

        From -1 to 1, so that every user has one vote, however many movies they rate.
        """
        n_liked = self.n_served_only + self.n_other_only + self.n_both
        return (self.n_other_only - self.n_served_only) / n_liked


@dataclass(frozen=True, slots=True)
class PairOutcomes:
    """The outcomes of the compared responses of a served version and another one.

    Attributes:
        purpose: shadow or probation.
        served_version: the version that served.
        other_version: its opponent.
        n_answers: the number of compared responses.
        n_anonymous: those to people without an account: they count for the similarity alone.
        mean_overlap: the mean share of common movies, 0 to 1.
        mean_rank_overlap: the mean rank-biased overlap, 0 to 1.
        n_served_taken: movies rated afterwards that the served lists held.
        n_other_taken: movies rated afterwards that the other's lists held.
        people: every user who liked a movie that a list of theirs held.
    """

    purpose: Purpose
    served_version: int
    other_version: int
    n_answers: int
    n_anonymous: int
    mean_overlap: float
    mean_rank_overlap: float
    n_served_taken: int
    n_other_taken: int
    people: tuple[PersonOutcomes, ...]


FEWEST_EFFECTIVE_PEOPLE = 20
"""With fewer users who carry a difference the interval is not reliable, and an exact test of their signs decides.

Users are weighted by the size of their difference: the effective sample size (``effective_users``).
"""


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The verdict on a pair of versions, and its evidence.

    Attributes:
        verdict: the version whose lists held more of what users liked.
        n_people: the number of users who liked a movie that a list of theirs held.
        n_for_other: those who liked more movies that only the other's lists held than only the served ones did.
        n_for_served: those with more on the served lists.
        difference: the mean over users of the share of the movies they liked that only the other's lists held, minus
            the share that only the served lists held; None without users. It never contradicts the verdict.
        low: the lower end of its interval; None if too few users carry the difference, and only signs are tested.
        high: the upper end; None likewise.
        confidence: of the interval, or of the test.
    """

    verdict: ComparisonVerdict
    n_people: int
    n_for_other: int
    n_for_served: int
    difference: float | None
    low: float | None
    high: float | None
    confidence: float

    def in_words(self, served_version: int, other_version: int) -> str:
        """Return the verdict with its evidence, without a full stop."""
        sides = (
            f"{_people(self.n_for_other)} liked more films of the lists of version {other_version}, "
            f"{self.n_for_served} of version {served_version}"
        )
        if self.verdict == "not_enough":
            return (
                f"not enough evidence: {sides}; needed is a clear majority with the mean on its side, or "
                f"{FEWEST_EFFECTIVE_PEOPLE} who carry most of the difference"
            )
        if self.difference is None or self.low is None or self.high is None:
            return f"{sides} (exact sign test at {self.confidence * 100:.3g} %)"
        span = f"{self.confidence * 100:.3g} % interval {self.low:+.3f} to {self.high:+.3f}"
        return (
            f"lists of version {other_version} against version {served_version}: {self.difference:+.3f} of the liked "
            f"films over {self.n_people} people, {span}"
        )


def _people(number: int) -> str:
    """Return a number of people in words."""
    return "1 person" if number == 1 else f"{number} people"


@dataclass(frozen=True, slots=True)
class Probation:
    """The time after a promotion in which the former version is compared with the serving one."""

    promotion_id: int
    served_version: int
    former_version: int
    began_at: datetime
    ends_at: datetime

    def due_check(self, now: datetime) -> int:
        """Return the number of the newest check that is due, from 1; 0 before the first."""
        passed = (now - self.began_at) / (self.ends_at - self.began_at)
        return sum(passed >= fraction for fraction in CHECK_FRACTIONS)

    def is_over(self, now: datetime) -> bool:
        """Return whether the comparison has ended."""
        return now >= self.ends_at


def probation_of(newest_first: Sequence[Promotion], days: float) -> Probation | None:
    """Return the probation of the production version; None after a rollback, and without a former version.

    The former version is the target of a rollback.
    """
    former = rollback_target(newest_first)
    if former is None or newest_first[0].verdict == ROLLBACK:
        return None
    newest = newest_first[0]
    ends_at = newest.promoted_at + timedelta(days=days)
    return Probation(newest.promotion_id, newest.version, former.version, newest.promoted_at, ends_at)
