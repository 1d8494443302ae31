"""Versions in MLflow's terms as the values of the ports: everything that is recorded stands in their tags."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings import SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.ports import KnownVersion, RegisteredVersion

CANDIDATE, CHALLENGER = "candidate", "challenger"


def registered_version(version: ModelVersion) -> RegisteredVersion:
    """Return the version if cineclub registered it.

    Raises:
        BrokenArtifact: somebody else did.
    """
    try:
        return RegisteredVersion(
            version=int(version.version),
            recipe=Recipe.from_json(version.tags["recipe"]),
            created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
            manifest_sha256=version.tags["manifest_sha256"],
            snapshot=snapshot_of(version.tags),
        )
    except (KeyError, ValueError) as error:
        message = f"version {version.version} was not registered by cineclub: point the alias to one that was"
        raise BrokenArtifact(message) from error


def known_version(version: ModelVersion, metrics: Mapping[str, float]) -> KnownVersion:
    """Return what PostgreSQL keeps of a version.

    Raises:
        BrokenArtifact: cineclub did not register it.
    """
    tags = dict(version.tags)
    return KnownVersion(
        registered=registered_version(version),
        training_id=tags.get("training_id"),
        role=role_of(tags),
        verdict=tags.get("verdict", ""),
        reason=tags.get("reason", ""),
        metrics=metrics,
        tags=tags,
        code_version=tags.get("code_version", ""),
    )


def role_of(tags: Mapping[str, str]) -> str:
    """Return in which role a training registered a version: what the gate holds is the challenger."""
    return tags.get("role") or (CHALLENGER if tags.get("verdict") == "HOLD" else CANDIDATE)


def snapshot_of(tags: Mapping[str, str]) -> SnapshotIdentity:
    """Return the snapshot that a record's tags name."""
    newest = tags.get("snapshot_newest_rated_at")
    return SnapshotIdentity(
        n_ratings=int(tags.get("snapshot_n_ratings", "0")),
        newest_rated_at=datetime.fromisoformat(newest) if newest else None,
        content_sha256=tags.get("snapshot_sha256", ""),
    )
