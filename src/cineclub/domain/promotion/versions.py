"""Registered versions of the model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

VersionKey = tuple[int, str]
"""Identity of a version: its number and the SHA-256 of its manifest; another MLflow server counts from 1 again."""

CANDIDATE, CHALLENGER = "candidate", "challenger"
SHORT_HASH = 12


def copy_name(version: int, manifest_sha256: str) -> str:
    """Return the name of a version's local copy in the folder ``models`` of CINECLUB_HOME."""
    return f"{version}-{manifest_sha256[:SHORT_HASH]}"


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version in the registry: its number, recipe, date, artifact hash, and the ratings it was fitted on."""

    version: int
    recipe: Recipe
    created_at: datetime
    manifest_sha256: str
    snapshot: SnapshotIdentity

    @property
    def key(self) -> VersionKey:
        """The identity of the version."""
        return self.version, self.manifest_sha256

    @property
    def learned_until(self) -> datetime | None:
        """The newest rating that it learned from, at most the time of its registration; None if unknown."""
        newest = self.snapshot.newest_rated_at
        return None if newest is None else min(newest, self.created_at)

    @property
    def copy_name(self) -> str:
        """The name of its local copy in the folder ``models`` of CINECLUB_HOME."""
        return copy_name(self.version, self.manifest_sha256)


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """The record registered beside the arrays: metrics by name, tags by name, and documents by file name."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """The role in which the training registers the version."""
        return role_of(self.tags)

    @property
    def snapshot(self) -> SnapshotIdentity:
        """The ratings that the version was fitted on."""
        return snapshot_of(self.tags)


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A registered version with its record in PostgreSQL; ``role`` is challenger for one that the gate holds."""

    registered: RegisteredVersion
    training_id: str | None
    role: str
    verdict: str
    reason: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    code_version: str


def role_of(tags: Mapping[str, str]) -> str:
    """Return the role of a registered version by its tags: a version that the gate holds is the challenger."""
    return tags.get("role") or (CHALLENGER if tags.get("verdict") == "HOLD" else CANDIDATE)


def snapshot_of(tags: Mapping[str, str]) -> SnapshotIdentity:
    """Return the snapshot of ratings named by a version's tags."""
    newest = tags.get("snapshot_newest_rated_at")
    return SnapshotIdentity(
        n_ratings=int(tags.get("snapshot_n_ratings", "0")),
        newest_rated_at=datetime.fromisoformat(newest) if newest else None,
        content_sha256=tags.get("snapshot_sha256", ""),
    )
