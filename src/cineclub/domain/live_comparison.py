"""Two versions compared on real requests: how alike their lists are, whose lists held what people then liked.

One of the two serves, the other is asked the same questions beside the requests. A later rating is attributed to the
last compared answer, at most the outcome window older, of which either list held the film; each list that held it is
credited. Only films that were *liked* count for the verdict, by the gate's own threshold (4 of 5 stars): a list is not
better for holding what people watch and dislike, and the two judges of a version must not disagree about what is good.

The served list was seen and the other was not, so what people rate is drawn towards the served one. A verdict that the
other is better has won against that, which is right for a rollback; one that the served list is better says less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from cineclub.domain.rollback import ROLLBACK, Served, rollback_target

Purpose = Literal["shadow", "probation"]
ComparisonVerdict = Literal["not_enough", "no_difference", "other_better", "served_better"]

PERSISTENCE = 0.9
"""With which chance somebody who looked at a film of a list goes on to the next one."""

LOOK_FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""After which parts of a probation its outcomes are looked at: a disaster ends early, a small loss at the end."""

PROBATION_CONFIDENCE = 1 - 0.05 / len(LOOK_FRACTIONS)
"""Each look's confidence, such that all the looks of a probation together have 95 %.

A fixed 95 % interval that is looked at again and again errs far more often than once in twenty (Armitage, McPherson and
Rowe, J. Royal Statistical Society A 132, 1969). The looks stand fixed before the first outcome and share the 5 %
equally (Bonferroni), which holds however the looks depend on one another: the people and ratings of one look are those
of the next one too, so that sequences that take each person as a new draw would not be valid here.
"""

SHADOW_CONFIDENCE = 0.95


def overlap(served: Sequence[int], other: Sequence[int]) -> float:
    """Return the share, 0 to 1, of the longer list's films that both lists hold; 1 for two empty lists."""
    longest = max(len(served), len(other))
    return len(set(served) & set(other)) / longest if longest else 1.0


def rank_overlap(served: Sequence[int], other: Sequence[int]) -> float:
    """Return how alike two rankings are, 0 to 1, the first places weighing most; 1 for equal or two empty lists.

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
    """What somebody is shown of two rankings, and which films of it each of the two is credited for."""

    shown: tuple[int, ...]
    served_films: tuple[int, ...]
    other_films: tuple[int, ...]


class Composer(Protocol):
    """Makes the list to show of the rankings of two versions: the seam for interleaving.

    Team-draft interleaving (Radlinski, Kurup and Joachims, CIKM 2008) would show films of both in turn and credit each
    ranking with those that it put there. What is stored, counted and judged are the films credited to each side, so
    only the composer and the moment of the call (before the answer in place of after it) would change.
    """

    def __call__(self, served: Sequence[int], other: Sequence[int]) -> Composition:
        """Return the list to show, and who is credited for what."""
        ...


def served_alone(served: Sequence[int], other: Sequence[int]) -> Composition:
    """Return the served list as what is shown, each side credited for its own list."""
    return Composition(tuple(served), tuple(served), tuple(other))


@dataclass(frozen=True, slots=True)
class PersonOutcomes:
    """How many films a person liked that only the served lists held, only the other's, and both; one is at least 1."""

    n_served_only: int
    n_other_only: int
    n_both: int

    @property
    def difference(self) -> float:
        """The share of these films that only the other's lists held minus the share that only the served ones held.

        From -1 to 1, so that every person has one vote, however many films they rate.
        """
        n_liked = self.n_served_only + self.n_other_only + self.n_both
        return (self.n_other_only - self.n_served_only) / n_liked


@dataclass(frozen=True, slots=True)
class PairOutcomes:
    """What became of the compared answers of a served version and another one.

    Attributes:
        purpose: shadow or probation.
        served_version: the version that answered.
        other_version: the version that was asked beside it.
        n_answers: how many answers were compared.
        n_anonymous: how many of them were to people without an account: they count for the agreement alone.
        mean_overlap: the mean share of common films, 0 to 1.
        mean_rank_overlap: the mean rank-biased overlap, 0 to 1.
        n_served_taken: films rated afterwards that the served lists held.
        n_other_taken: films rated afterwards that the other's lists held.
        people: everybody who liked a film that a list of theirs held.
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
"""Below so many people who carry a difference an interval is not to be trusted; an exact test of their signs is.

They are counted by weight (``effective_users``): those who differ little hardly count beside others who differ much.
"""


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """The verdict on a pair of versions, and what it rests on.

    Attributes:
        verdict: whose lists held more of what people liked.
        n_people: how many people liked a film that a list of theirs held.
        n_for_other: how many of them liked more films that only the other's lists held than only the served ones did.
        n_for_served: how many of them the other way round.
        difference: the mean over people of the share of the films they liked that only the other's lists held, minus
            the share that only the served lists held; None without people. It never points away from the verdict.
        low: the lower end of its interval; None where too few carry the difference, and signs alone are tested.
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
        """Return what was found, without a full stop."""
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
    """Return so many people in words."""
    return "1 person" if number == 1 else f"{number} people"


class Promoted(Served, Protocol):
    """One row of the history of what served, with its id and time."""

    @property
    def promotion_id(self) -> int:
        """The number of the row."""
        ...

    @property
    def promoted_at(self) -> datetime:
        """Since when it serves."""
        ...


@dataclass(frozen=True, slots=True)
class Probation:
    """The time after a promotion in which the former version is compared with the one that serves now."""

    promotion_id: int
    served_version: int
    former_version: int
    began_at: datetime
    ends_at: datetime

    def due_look(self, now: datetime) -> int:
        """Return the number of the newest look that is due, from 1; 0 before the first."""
        passed = (now - self.began_at) / (self.ends_at - self.began_at)
        return sum(passed >= fraction for fraction in LOOK_FRACTIONS)

    def is_over(self, now: datetime) -> bool:
        """Say whether nothing is compared for it any more."""
        return now >= self.ends_at


def probation_of(newest_first: Sequence[Promoted], days: float) -> Probation | None:
    """Return the probation of what serves now; None after a rollback, and where nothing served before.

    The former version is the one that a rollback would go back to.
    """
    former = rollback_target(newest_first)
    if former is None or newest_first[0].verdict == ROLLBACK:
        return None
    newest = newest_first[0]
    ends_at = newest.promoted_at + timedelta(days=days)
    return Probation(newest.promotion_id, newest.version, former.version, newest.promoted_at, ends_at)
