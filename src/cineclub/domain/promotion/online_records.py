"""Records of comparisons on real requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.promotion.online_comparison import ComparisonVerdict, Purpose
from cineclub.domain.promotion.records import Promotion
from cineclub.domain.promotion.versions import KnownVersion


@dataclass(frozen=True, slots=True)
class ComparedResponse:
    """A response with the list of another version; the movie ids are internal, the overlaps go from 0 to 1."""

    recommendation_id: str
    purpose: Purpose
    compared_at: datetime
    user_id: str | None
    served_version: int
    other_version: int
    served_movie_ids: Sequence[int]
    other_movie_ids: Sequence[int]
    overlap: float
    rank_overlap: float


@dataclass(frozen=True, slots=True)
class ProbationCheck:
    """One check of a probation: the verdict on the former version (other) against the served one, and its evidence.

    The difference is None without an evaluated user; the ends of its interval also where few users differ and a sign
    test was made.
    """

    promotion_id: int
    nth: int
    looked_at: datetime
    served_version: int
    former_version: int
    verdict: ComparisonVerdict
    n_people: int
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    summary: str

    @property
    def is_alarm(self) -> bool:
        """The former version's lists were better."""
        return self.verdict == "other_better"


@dataclass(frozen=True, slots=True)
class Standing:
    """The promotions, newest first, and the challenger (None where there is none)."""

    promotions: Sequence[Promotion]
    challenger: KnownVersion | None
