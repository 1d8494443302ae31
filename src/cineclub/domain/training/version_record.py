"""The record of a registered version, and the conditions of its fit as its tags state them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cineclub.domain.documents import to_document
from cineclub.domain.drift.statistics import baseline_of
from cineclub.domain.errors import SnapshotGone
from cineclub.domain.evaluation.evaluate import CONFIDENCE_OF_TABLES, Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.scoreboard import Candidate, filtered
from cineclub.domain.evaluation.significance import clustered_mean, interval_of_mean
from cineclub.domain.promotion.backtest import gate_rng
from cineclub.domain.promotion.versions import CANDIDATE, CHALLENGER, VersionRecord
from cineclub.domain.ratings.log import RatingLog, Snapshot
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.training.report import TrainingReport, microseconds_of


def version_record(
    report: TrainingReport,
    candidate: Candidate | None,
    fitted_before_us: int | None,
    snapshot: Snapshot,
    library_versions: Mapping[str, str],
) -> VersionRecord:
    """Return the record that is registered beside the arrays of a version.

    Args:
        report: of the training, with the decision about this version.
        candidate: the evaluation of the version's recipe; None where only the registered model was evaluated.
        fitted_before_us: the end of its ratings, exclusive, microseconds since 1970-01-01 UTC; None for all ratings.
        snapshot: the ratings of the training.
        library_versions: libraries and machine of the fit.
    """
    plan, decision, identity = report.plan, report.decision, snapshot.identity
    baseline = baseline_of(snapshot.log, snapshot.movies, now=microseconds_of(report.started_at) + MICROSECONDS_PER_DAY)
    return VersionRecord(
        metrics=recorded_metrics(candidate) | _intervals(candidate.evaluation, plan) if candidate else {},
        tags={
            "role": CHALLENGER if decision.verdict == "HOLD" else CANDIDATE,
            "fitted_before_us": "" if fitted_before_us is None else str(fitted_before_us),
            "verdict": decision.verdict,
            "reason": decision.reason,
            "training_id": report.training_id,
            "code_version": report.code_version,
            "snapshot_sha256": identity.content_sha256,
            "snapshot_n_ratings": str(identity.n_ratings),
            "snapshot_newest_rated_at": identity.newest_rated_at.isoformat() if identity.newest_rated_at else "",
            "seed": str(plan.seed),
            "min_ratings_per_user": str(plan.min_ratings_per_user),
            "min_ratings_per_movie": str(plan.min_ratings_per_movie),
            "library_versions": json.dumps(dict(library_versions)),
        },
        documents={
            "evaluation.json": report.to_text(),
            "model_card.md": report.model_card(),
            "statistics.json": json.dumps(to_document(baseline), indent=1),
        },
    )


def recorded_metrics(candidate: Candidate) -> dict[str, float]:
    """Return the finite metrics of a candidate with its measurements, by name."""
    measured = candidate.evaluation.metrics() | {
        "fit_seconds": candidate.fit_seconds,
        "answer_seconds": candidate.answer_seconds,
        "n_judged_users": candidate.evaluation.n_evaluated_users,
    }
    return {name: float(value) for name, value in measured.items() if np.isfinite(value)}


def _intervals(evaluation: Evaluation, plan: TrainingPlan) -> dict[str, float]:
    """Return the ends of the 95 % intervals of the ranking metrics: the widest of a window walked in time.

    Where rows are users, these are resampled as a whole.
    """
    ends: dict[str, float] = {}
    for name, values in evaluation.per_user.items():
        if len(evaluation.days):
            interval = clustered_mean(values, evaluation.rows).interval(CONFIDENCE_OF_TABLES)
        else:
            interval = interval_of_mean(evaluation.by_person(values), gate_rng(plan), plan.n_resamples)
        at_k = f"{name}_at_{evaluation.top_k}"
        ends |= {f"{at_k}_low": interval.low, f"{at_k}_high": interval.high}
    return {name: value for name, value in ends.items() if np.isfinite(value)}


@dataclass(frozen=True, slots=True)
class FitConditions:
    """The conditions under which a version was fitted, so that it can be fitted again.

    Attributes:
        snapshot_sha256: the ratings of its training.
        seed: the seed of the fit's random choices.
        min_ratings_per_user: users with fewer were left out.
        min_ratings_per_movie: movies with fewer were left out.
        fitted_before_us: the end of its ratings, exclusive, microseconds since 1970-01-01 UTC; None for all ratings.
        library_versions: libraries and machine of the fit.
    """

    snapshot_sha256: str
    seed: int
    min_ratings_per_user: int
    min_ratings_per_movie: int
    fitted_before_us: int | None
    library_versions: Mapping[str, str]

    @classmethod
    def of(cls, version: int, tags: Mapping[str, str]) -> "FitConditions":
        """Return the conditions stated by the tags of a version.

        Raises:
            SnapshotGone: a tag is missing, because an earlier release registered the version.
        """
        try:
            cut = tags["fitted_before_us"]
            return cls(
                snapshot_sha256=tags["snapshot_sha256"],
                seed=int(tags["seed"]),
                min_ratings_per_user=int(tags["min_ratings_per_user"]),
                min_ratings_per_movie=int(tags["min_ratings_per_movie"]),
                fitted_before_us=int(cut) if cut else None,
                library_versions=json.loads(tags["library_versions"]),
            )
        except (KeyError, ValueError) as error:
            message = f"version {version} does not say how it was fitted ({error}): an earlier release registered it"
            raise SnapshotGone(message) from error

    def ratings_of(self, log: RatingLog) -> RatingMatrix:
        """Return the ratings that the version learned from, out of the log of its snapshot."""
        if self.fitted_before_us is not None:
            log = log.take(log.rated_at < self.fitted_before_us)
        return filtered(log, self.min_ratings_per_user, self.min_ratings_per_movie)[0]
