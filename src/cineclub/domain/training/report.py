"""The report of a training for people and programs, and the model card."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cineclub.domain.documents import to_document
from cineclub.domain.evaluation.evaluate import SEGMENTS, WITHOUT_HISTORY
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import Window
from cineclub.domain.evaluation.scoreboard import Candidate, Scoreboard, names_of, rows_of
from cineclub.domain.evaluation.splitting import TimeCuts
from cineclub.domain.promotion.gate import PromotionDecision
from cineclub.domain.ratings.filtering import FilterReport
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

CAUTION = (
    "Scores rank films for one person from that person's own ratings. They are no measure of a film's worth, and "
    "people unlike those in the ratings are served worse: see the columns by length of history."
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WindowReport:
    """The users and the scoreboard of one window, or of several pooled.

    ``starts_at`` is the start of the first; ``window_starts`` has all.
    """

    starts_at: datetime
    window_starts: tuple[datetime, ...]
    n_users: int
    n_users_without_history: int
    n_held_out: int
    scoreboard: Scoreboard

    @classmethod
    def of(cls, starts: Sequence[int], windows: Sequence[Window], scoreboard: Scoreboard) -> "WindowReport":
        """Return the report of windows with these ``starts``, microseconds since 1970-01-01 UTC."""
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
        training_id: the id of the training.
        code_version: the version of cineclub that ran it.
        started_at: its start.
        plan: its settings.
        snapshot: the identity of the ratings it read.
        cuts: the starts of the windows.
        filters: reports of the filter by period: before validation, before test, everything.
        validation: all candidates and the search on the validation window.
        test: the challenger, the baselines and production on the test windows.
        challenger: the best recipe on validation.
        challenger_verdict: the gate's verdict on it, with reason and numbers.
        decision: the verdict, or the fallback refit of production's recipe.
        production_version: the version in production at the start; None before the first promotion.
        version: the registered version; None in the copy that is stored with that version.
        step_seconds: the duration of each finished step.
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
        """Return the model card of the registered version, as Markdown."""
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
            f"- evaluated on {test.n_users:,} users with ratings from {test.starts_at:%Y-%m-%d} on",
            f"- test windows: {len(test.window_starts)}, every model fitted anew before each",
            f"- ranked likes: {_n_likes(test.scoreboard):,}; nDCG is the mean of users, each with the mean of theirs",
            f"- users without history at one of their evaluated ratings: {test.n_users_without_history:,}",
            f"- training `{self.training_id}`, {self.started_at:%Y-%m-%d %H:%M} UTC, cineclub {self.code_version}",
            f"- seed {self.plan.seed}",
            "",
            *_table(test.scoreboard, self.plan.top_k),
            "",
            CAUTION,
        ]
        return "\n".join(lines) + "\n"


def _n_likes(scoreboard: Scoreboard) -> int:
    """Return the number of ranked likes; every candidate has the same."""
    return max((candidate.evaluation.n_judged_likes or 0 for candidate in scoreboard.candidates), default=0)


def microseconds_of(moment: datetime) -> int:
    """Return the microseconds since 1970-01-01 UTC, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def _table(scoreboard: Scoreboard, top_k: int) -> list[str]:
    """Return the scoreboard of the test window as the lines of a Markdown table."""
    segments = ["no history" if name == WITHOUT_HISTORY else name for name in SEGMENTS]
    head = ["model", f"nDCG@{top_k}", "95 % interval", "nDCG of likes", f"recall@{top_k}", "coverage", "RMSE"]
    head += [f"nDCG, {name}" for name in segments]
    names = names_of([candidate.recipe for candidate in scoreboard.candidates])
    rows = [[name, *_cells(candidate, top_k)] for name, candidate in zip(names, scoreboard.candidates, strict=True)]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _cells(candidate: Candidate, top_k: int) -> list[str]:
    """Return one candidate's figures of the table."""
    evaluation = candidate.evaluation
    metrics, interval = evaluation.metrics(), evaluation.ndcg_interval()
    after = [metrics[f"{name}_at_{top_k}"] for name in ("ndcg_of_likes", "recall", "coverage")] + [metrics["rmse"]]
    after += evaluation.ndcg_by_segment().values()
    span = "-" if math.isnan(interval["low"]) else f"{interval['low']:.4f} to {interval['high']:.4f}"
    return [_written(metrics[f"ndcg_at_{top_k}"]), span, *map(_written, after)]


def _written(value: float) -> str:
    """Return a figure of the table, a dash for none."""
    return "-" if math.isnan(value) else f"{value:.4f}"
