"""Results of comparing one statistic of a period with a baseline."""

from dataclasses import dataclass
from typing import Literal

DriftVerdict = Literal["OK", "ALERT", "NOT_ENOUGH_DATA"]
Subject = Literal["ratings", "answers"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number beside its normal range.

    Attributes:
        name: the statistic.
        of: the data that it describes.
        baseline: mean over the baseline's windows; None where none has it.
        current: the number of the period; None where it has none.
        change_pct: relative change in percent; None where it cannot be compared, or the baseline is 0.
        threshold: a change of more percent is an alert; None likewise.
        verdict: the result.
    """

    name: str
    of: Subject
    baseline: float | None = None
    current: float | None = None
    change_pct: float | None = None
    threshold: float | None = None
    verdict: DriftVerdict = "NOT_ENOUGH_DATA"

    @property
    def is_known(self) -> bool:
        """There is a value to show."""
        return self.baseline is not None or self.current is not None

    @property
    def excess(self) -> float:
        """Change in multiples of the threshold."""
        return abs(self.change_pct or 0.0) / self.threshold if self.threshold else float("inf")


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distance of a distribution from the baseline's.

    Attributes:
        name: the statistic.
        of: the data that it describes.
        distance: 0 to 1; None where it cannot be compared.
        threshold: a larger distance is an alert; None likewise.
        verdict: the result.
    """

    name: str
    of: Subject
    distance: float | None = None
    threshold: float | None = None
    verdict: DriftVerdict = "NOT_ENOUGH_DATA"

    @property
    def is_known(self) -> bool:
        """There is a value to show."""
        return self.distance is not None

    @property
    def excess(self) -> float:
        """Distance in multiples of the threshold."""
        return (self.distance or 0.0) / self.threshold if self.threshold else float("inf")


StatisticChange = Figure | Distribution
