"""The registered versions and the refused promotions, read without MLflow."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.drift_store import keep_baseline
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.errors import NotFound
from cineclub.domain.promotion.records import Refusal, RequestedBy
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion, VersionKey
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

SQL = named_queries("versions.sql")
LARGEST_VERSION = 2**31 - 1


class VersionHistory:
    """Versions and refusals in PostgreSQL; rows are added and never rewritten.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def note_version(self, known: KnownVersion) -> None:
        """Record a version once; another one of the same training and role is withdrawn."""
        with session(self._database_url) as connection, connection.transaction():
            columns = _columns(known)
            connection.execute(SQL["withdraw_others"], columns)
            connection.execute(SQL["note"], columns)

    def keep_statistics(self, version: RegisteredVersion, statistics: str) -> None:
        """Record the statistics of the ratings that a version was fitted on, as JSON, once: the baseline of drift."""
        keep_baseline(self._database_url, version, statistics)

    def withdraw(self, version: RegisteredVersion) -> None:
        """Mark a version that its training has replaced before it ever served."""
        key = {"version": version.version, "manifest_sha256": version.manifest_sha256}
        with session(self._database_url) as connection:
            connection.execute(SQL["withdraw"], key)

    def version(self, version: int) -> KnownVersion:
        """Return a version.

        Raises:
            NotFound: there is no such version, or it was withdrawn.
        """
        if 0 < version <= LARGEST_VERSION:
            with session(self._database_url) as connection:
                if row := connection.execute(SQL["get"], {"version": version}).fetchone():
                    return known_version_of(row)
        message = f"there is no version {version}: `cineclub models` and GET /models/ list them"
        raise NotFound(message)

    def rejection(self, version: int, manifest_sha256: str) -> str:
        """Return the gate's reason for rejecting a version; empty where it did not reject it.

        A number alone does not identify it: another MLflow server counts from 1 again.
        """
        key = {"version": version, "manifest_sha256": manifest_sha256}
        with session(self._database_url) as connection:
            row = connection.execute(SQL["rejection"], key).fetchone()
        return row["reason"] if row else ""

    def noted_since(self) -> datetime:
        """Return the time since which every version is recorded when it is registered."""
        with session(self._database_url) as connection:
            since: datetime = connection.execute(SQL["noted_since"]).fetchall()[0]["since"]
            return since

    def manifests(self) -> set[VersionKey]:
        """Return the identity of every version that was ever recorded."""
        with session(self._database_url) as connection:
            return {(row["version"], row["manifest_sha256"]) for row in connection.execute(SQL["manifests"])}

    def recent_versions(self, limit: int, before: int | None = None) -> list[KnownVersion]:
        """Return the versions, newest first, those with numbers below ``before`` if it is given."""
        page = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [known_version_of(row) for row in connection.execute(SQL["recent"], page)]

    def challenger(self) -> KnownVersion | None:
        """Return the version that might serve next, and is compared in the shadow; None where there is none.

        It is the newest version that was never promoted, neither rejected by the gate nor refused, and newer than
        production or of the same training: a held challenger is registered just before the refit that serves instead.
        """
        with session(self._database_url) as connection:
            row = connection.execute(SQL["challenger"]).fetchone()
        return known_version_of(row) if row else None

    def refuse(self, version: int, asked_by: RequestedBy, reason: str) -> bool:
        """Record that a promotion was refused, who requested it, and the reason.

        Moves of the alias outside and rollbacks by probation are attempted repeatedly and recorded once: return False
        where the newest refusal is of the same attempt.
        """
        refusal = {"version": version, "asked_by": asked_by, "reason": " ".join(reason.split())}
        with session(self._database_url) as connection:
            return connection.execute(SQL["refuse"], refusal).rowcount > 0

    def refusals(self, limit: int, before: int | None = None) -> list[Refusal]:
        """Return the refusals, newest first, those before the one with the id ``before`` if it is given."""
        page = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [refusal_of(row) for row in connection.execute(SQL["refusals"], page)]


def known_version_of(row: Row) -> KnownVersion:
    """Return the version of a row."""
    registered = RegisteredVersion(
        version=row["version"],
        recipe=Recipe(**row["recipe"]),
        created_at=row["registered_at"],
        manifest_sha256=row["manifest_sha256"],
        snapshot=SnapshotIdentity(row["snapshot_n_ratings"], row["snapshot_newest_rated_at"], row["snapshot_sha256"]),
    )
    return KnownVersion(
        registered=registered,
        training_id=str(row["training_id"]) if row["training_id"] else None,
        role=row["role"],
        verdict=row["verdict"],
        reason=row["reason"],
        metrics=row["metrics"],
        tags=row["tags"],
        code_version=row["code_version"],
    )


def refusal_of(row: Row) -> Refusal:
    """Return the refusal of a row."""
    return Refusal(row["id"], row["refused_at"], row["version"], row["asked_by"], row["reason"])


def _columns(known: KnownVersion) -> dict[str, Any]:
    """Return a version as query parameters."""
    registered = known.registered
    return {
        "version": registered.version,
        "manifest_sha256": registered.manifest_sha256,
        "registered_at": registered.created_at,
        "training_id": known.training_id,
        "role": known.role,
        "recipe": registered.recipe.to_json(),
        "verdict": known.verdict,
        "reason": known.reason,
        "metrics": Jsonb(dict(known.metrics)),
        "tags": Jsonb(dict(known.tags)),
        "snapshot_sha256": registered.snapshot.content_sha256,
        "snapshot_n_ratings": registered.snapshot.n_ratings,
        "snapshot_newest_rated_at": registered.snapshot.newest_rated_at,
        "code_version": known.code_version,
    }
