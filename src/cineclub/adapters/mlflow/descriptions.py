"""MLflow's versions as values of the domain: the record of a version is in its tags."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion, role_of, snapshot_of
from cineclub.domain.recommend.recipe import Recipe


def registered_version(version: ModelVersion) -> RegisteredVersion:
    """Return the version as its tags describe it.

    Raises:
        BrokenArtifact: cineclub did not register it.
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
    """Return the record of a version for PostgreSQL.

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
