"""Records of drift checks and of the baselines that they compare with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cineclub.domain.drift.changes import Distribution, DriftVerdict, StatisticChange
from cineclub.domain.drift.comparison import DriftComparison
from cineclub.domain.drift.segment_changes import SegmentChange
from cineclub.domain.drift.statistics import Baseline

BaselineKind = Literal["model", "pinned"]
CheckOrigin = Literal["api", "cli", "watch"]
"""The origin of a check: a request, a command, or the service itself."""


@dataclass(frozen=True, slots=True)
class StoredBaseline:
    """A baseline as it is stored.

    Attributes:
        baseline_id: its id.
        model_version: the version that learned from its ratings; None: taken for a pin.
        taken_at: its time.
        baseline: the statistics.
        newest: the same with windows as long as the newest part of a checked window; None before a check.
    """

    baseline_id: int
    model_version: int | None
    taken_at: datetime
    baseline: Baseline
    newest: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Baselines:
    """The baselines that a window can be compared with.

    Attributes:
        model_version: the version in production; None before the first promotion.
        model: its baseline; None where it has none.
        pinned: the pinned baseline, if there is one.
    """

    model_version: int | None
    model: StoredBaseline | None
    pinned: StoredBaseline | None

    @property
    def by_kind(self) -> dict[BaselineKind, StoredBaseline]:
        """The baselines that there are."""
        kinds: tuple[tuple[BaselineKind, StoredBaseline | None], ...] = (("model", self.model), ("pinned", self.pinned))
        return {kind: stored for kind, stored in kinds if stored is not None}


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """The period of a check, its length, and the number of its ratings and responses."""

    starts_at: datetime
    ends_at: datetime
    days: float
    n_ratings: int
    n_answers: int


@dataclass(frozen=True, slots=True)
class BaselineComparison:
    """The window beside one baseline: that of the model in production, or the pinned one."""

    baseline: BaselineKind
    model_version: int | None
    taken_at: datetime
    n_windows: int
    verdict: DriftVerdict
    statistics: tuple[StatisticChange, ...]
    segments: tuple[SegmentChange, ...]

    @property
    def comparison(self) -> DriftComparison:
        """The comparison without its baseline."""
        return DriftComparison(self.verdict, self.n_windows, self.statistics, self.segments)


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """One check; ``check_id`` is 0 before it is stored, ``training_id`` names the training that it started."""

    check_id: int
    checked_at: datetime
    verdict: DriftVerdict
    summary: str
    window: CheckedWindow
    threshold_pct: float
    comparisons: tuple[BaselineComparison, ...]
    training_id: str | None = None

    @property
    def distances(self) -> dict[str, float]:
        """The distance of each distribution from the first baseline that it was compared with."""
        distances: dict[str, float] = {}
        for comparison in self.comparisons:
            for statistic in comparison.statistics:
                if isinstance(statistic, Distribution) and statistic.distance is not None:
                    distances.setdefault(statistic.name, statistic.distance)
        return distances


@dataclass(frozen=True, slots=True)
class PastCheck:
    """The stored part of a check: origin, whether its parameters were those of the settings, result and effects.

    Distances of distributions, changes of figures in percent and the three segments that moved most are those from
    the first baseline.
    """

    check_id: int
    checked_at: datetime
    asked_by: CheckOrigin
    is_usual: bool
    verdict: DriftVerdict
    summary: str
    distances: Mapping[str, float]
    changes: Mapping[str, float]
    segments: Sequence[SegmentChange]
    training_id: str | None
    notified_at: datetime | None
