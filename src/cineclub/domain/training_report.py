"""What a training leaves behind: a report for people and programs, and the card of the model it made."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cineclub.domain.documents import to_document
from cineclub.domain.evaluation import SEGMENTS
from cineclub.domain.filtering import FilterReport
from cineclub.domain.promotion import PromotionDecision
from cineclub.domain.ratings import SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.domain.scoreboard import Candidate, Scoreboard, rows_of
from cineclub.domain.splitting import JudgedWindow, TimeCuts
from cineclub.domain.training_plan import TrainingPlan

CAUTION = (
    "Scores rank films for one person from that person's own ratings. They are no measure of a film's worth, and "
    "people unlike those in the ratings are served worse: see the columns by length of history."
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WindowReport:
    """Who was judged in one window, or several pooled, and how everybody who was judged there did.

    ``starts_at`` is where the first begins; ``window_starts`` has all.
    """

    starts_at: datetime
    window_starts: tuple[datetime, ...]
    n_users: int
    n_users_without_history: int
    n_held_out: int
    scoreboard: Scoreboard

    @classmethod
    def of(cls, starts: Sequence[int], windows: Sequence[JudgedWindow], scoreboard: Scoreboard) -> "WindowReport":
        """Return the report of windows that start so many microseconds after 1970-01-01 UTC."""
        moments = tuple(EPOCH + timedelta(microseconds=start) for start in starts)
        return cls(
            starts_at=moments[0],
            window_starts=moments,
            n_users=len(set().union(*(window.user_ids.tolist() for window in windows))),
            n_users_without_history=sum(window.n_users_without_history for window in windows),
            n_held_out=sum(len(window.held_out) for window in windows),
            scoreboard=scoreboard,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the window as a JSON document."""
        return {
            "starts_at": self.starts_at.isoformat(),
            "window_starts": [moment.isoformat() for moment in self.window_starts],
            "n_users": self.n_users,
            "n_users_without_history": self.n_users_without_history,
            "n_held_out": self.n_held_out,
            "models": to_document(list(rows_of(self.scoreboard.candidates))),
            "left_out": to_document(self.scoreboard.left_out),
        }


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """One training from its snapshot to its decision.

    Attributes:
        training_id: which training.
        code_version: the version of cineclub that ran.
        started_at: when it began.
        plan: what it was asked to do.
        snapshot: the identity of the ratings it read.
        cuts: where the windows begin.
        filters: what the filter kept, by period: before validation, before test, everything.
        validation: tuning and choosing.
        test: the challenger, the baselines and production's recipe on the newest ratings.
        challenger: the best recipe on validation.
        challenger_verdict: the gate's verdict on it, with reason and numbers.
        decision: what happens; another than the verdict where production's own recipe is refitted instead.
        production_version: what was in production when the training began; None before the first promotion.
        version: the version that this training registered; None in the copy that is stored with that version.
        step_seconds: how long each step took, as far as they are done.
    """

    training_id: str
    code_version: str
    started_at: datetime
    plan: TrainingPlan
    snapshot: SnapshotIdentity
    cuts: TimeCuts
    filters: Mapping[str, FilterReport]
    validation: WindowReport
    test: WindowReport
    challenger: Recipe
    challenger_verdict: PromotionDecision
    decision: PromotionDecision
    production_version: int | None
    version: int | None = None
    step_seconds: Mapping[str, float] | None = None

    def registered_as(self, version: int, step_seconds: Mapping[str, float]) -> "TrainingReport":
        """Return the finished report."""
        return replace(self, version=version, step_seconds=dict(step_seconds))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            "training_id": self.training_id,
            "code_version": self.code_version,
            "started_at": self.started_at.isoformat(),
            "plan": to_document(self.plan),
            "snapshot": to_document(self.snapshot),
            "filters": to_document(self.filters),
            "validation": self.validation.to_json(),
            "grid": to_document(list(rows_of(self.validation.scoreboard.grid))),
            "test": self.test.to_json(),
            "challenger": to_document(self.challenger),
            "challenger_verdict": to_document(self.challenger_verdict),
            "decision": to_document(self.decision),
            "production_version": self.production_version,
            "version": self.version,
            "step_seconds": to_document(self.step_seconds or {}),
        }

    def to_text(self) -> str:
        """Return the report as indented JSON."""
        return json.dumps(self.to_json(), indent=1)

    def model_card(self) -> str:
        """Return what a person should know about the registered model, as Markdown."""
        decision = self.decision
        learned = self.filters["everything" if decision.is_promoted else "before_test"].after
        test = self.test
        lines = [
            f"# {decision.recipe}",
            "",
            f"Verdict: **{decision.verdict}** - {decision.reason}.",
            "",
            f"- learned from {learned.n_ratings:,} ratings by {learned.n_users:,} users of {learned.n_movies:,} films",
            f"- snapshot `{self.snapshot.content_sha256[:12]}` of {self.snapshot.n_ratings:,} ratings",
            f"- judged on {test.n_users:,} users with ratings from {test.starts_at:%Y-%m-%d} on",
            f"- test windows: {len(test.window_starts)}, every model fitted anew before each",
            f"- users without history, shown popular films and not judged: {test.n_users_without_history:,}",
            f"- training `{self.training_id}`, {self.started_at:%Y-%m-%d %H:%M} UTC, cineclub {self.code_version}",
            f"- seed {self.plan.seed}",
            "",
            *_table(test.scoreboard, self.plan.top_k),
            "",
            CAUTION,
        ]
        return "\n".join(lines) + "\n"


def microseconds_of(moment: datetime) -> int:
    """Return the microseconds since 1970-01-01 UTC, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _table(scoreboard: Scoreboard, top_k: int) -> list[str]:
    """Return the scoreboard of the test window as the lines of a Markdown table."""
    head = ["model", f"nDCG@{top_k}", f"recall@{top_k}", "coverage", "RMSE", *(f"nDCG, {name}" for name in SEGMENTS)]
    rows = [_cells(candidate, top_k) for candidate in scoreboard.candidates]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _cells(candidate: Candidate, top_k: int) -> list[str]:
    """Return one candidate's row of the table."""
    metrics = candidate.judgement.metrics()
    shown = [metrics[f"{name}_at_{top_k}"] for name in ("ndcg", "recall", "coverage")] + [metrics["rmse"]]
    shown += candidate.judgement.ndcg_by_segment().values()
    return [str(candidate.recipe), *("-" if math.isnan(value) else f"{value:.4f}" for value in shown)]
