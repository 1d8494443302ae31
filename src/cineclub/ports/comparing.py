"""What comparing versions on real requests needs from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cineclub.domain.live_comparison import ComparisonVerdict, PairOutcomes, Purpose
from cineclub.domain.questions import Question
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommendations import PredictionResponse
from cineclub.ports.records import KnownVersion, Promotion


@dataclass(frozen=True, slots=True)
class ComparedAnswer:
    """An answer that another version was asked for too; the film ids are internal, the measures go from 0 to 1."""

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
class ProbationLook:
    """One look at what became of a promotion: the verdict, other (former) against served, and what it rests on.

    The difference is None where nobody could be judged, the ends of its interval also where few carry the difference
    and their signs were tested.
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
        """Whether the former version's lists were better."""
        return self.verdict == "other_better"


@dataclass(frozen=True, slots=True)
class Standing:
    """What served, newest first, and the version that might serve next (None where there is none)."""

    promotions: Sequence[Promotion]
    challenger: KnownVersion | None


class ComparisonStore(Protocol):
    """Where compared answers are kept and counted, and the looks at probations; async."""

    async def standing(self) -> Standing:
        """Return which versions there are to compare.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def write(self, answers: Sequence[ComparedAnswer]) -> None:
        """Keep compared answers.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def count(self, since: datetime, until: datetime, window_days: float) -> tuple[PairOutcomes, ...]:
        """Return what became of the answers compared from ``since`` to ``until``, by the ratings given until then.

        Raises:
            StorageUnavailable: PostgreSQL does not answer, or not within a minute.
        """
        ...

    async def looks(self, limit: int) -> list[ProbationLook]:
        """Return the looks at probations, newest first.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...

    async def record_look(self, look: ProbationLook) -> bool:
        """Keep a look, and say whether it was the first of its number.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        ...


class AnswerObserver(Protocol):
    """Told of every answer; never waits and never fails."""

    def offer(self, question: Question, known: UserRatings, response: PredictionResponse) -> None:
        """Take note of an answer with what it was made from, or leave it."""
        ...

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user who is erased."""
        ...


class ComparisonMetrics(Protocol):
    """Counts of compared answers, and how the probation stands."""

    def answer_compared(self, purpose: Purpose) -> None:
        """Count one answer that another version was asked for too."""
        ...

    def comparison_lost(self, cause: str) -> None:
        """Count one that was not compared or not kept: dropped, failed, or not written."""
        ...

    def probation_known(self, n_alarms: int, *, is_alarmed: bool) -> None:
        """Note how many probations found the former version better, and whether the version that serves is one."""
        ...
