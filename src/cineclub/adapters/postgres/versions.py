"""The versions that were registered and the promotions that were refused, known without asking MLflow."""

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.drift_baselines import keep_baseline
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.errors import NotFound
from cineclub.domain.ratings import SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.ports import Asker, KnownVersion, Refusal, RegisteredVersion

SQL = named_queries("versions.sql")
LARGEST_VERSION = 2**31 - 1


class VersionHistory:
    """Versions and refusals in PostgreSQL; nothing in there is ever rewritten."""

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def note(self, known: KnownVersion) -> None:
        """Keep what is known of a version; one of the same training and role that is there already is withdrawn.

        Raises:
            StorageUnavailable: PostgreSQL does not answer.
        """
        with session(self._database_url) as connection, connection.transaction():
            columns = _columns(known)
            connection.execute(SQL["withdraw_others"], columns)
            connection.execute(SQL["note"], columns)

    def keep_statistics(self, version: RegisteredVersion, statistics: str) -> None:
        """Keep what the ratings look like that a version learned from, as JSON, once: drift is measured against it."""
        keep_baseline(self._database_url, version, statistics)

    def withdraw(self, version: RegisteredVersion) -> None:
        """Mark a version that its training has replaced before it ever served."""
        asked = {"version": version.version, "manifest_sha256": version.manifest_sha256}
        with session(self._database_url) as connection:
            connection.execute(SQL["withdraw"], asked)

    def get(self, version: int) -> KnownVersion:
        """Return what is known of a version.

        Raises:
            NotFound: no such version, or it was withdrawn.
            StorageUnavailable: PostgreSQL does not answer.
        """
        if 0 < version <= LARGEST_VERSION:
            with session(self._database_url) as connection:
                if row := connection.execute(SQL["get"], {"version": version}).fetchone():
                    return known_version_of(row)
        message = f"there is no version {version}: `cineclub models` and GET /models/ list them"
        raise NotFound(message)

    def rejection(self, version: int, manifest_sha256: str) -> str:
        """Return why the gate rejected a version; empty where it did not, or where nothing is known of it.

        A number alone does not name it: another MLflow server counts from 1 again.
        """
        asked = {"version": version, "manifest_sha256": manifest_sha256}
        with session(self._database_url) as connection:
            row = connection.execute(SQL["rejection"], asked).fetchone()
        return row["reason"] if row else ""

    def noted_since(self) -> datetime:
        """Return from when on every version is noted when it is registered."""
        with session(self._database_url) as connection:
            since: datetime = connection.execute(SQL["noted_since"]).fetchall()[0]["since"]
            return since

    def manifests(self) -> set[tuple[int, str]]:
        """Return number and hash of every version that was ever noted."""
        with session(self._database_url) as connection:
            return {(row["version"], row["manifest_sha256"]) for row in connection.execute(SQL["manifests"])}

    def recent(self, limit: int, before: int | None = None) -> list[KnownVersion]:
        """Return the versions, newest first, those with numbers below ``before`` if it is given."""
        asked = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [known_version_of(row) for row in connection.execute(SQL["recent"], asked)]

    def challenger(self) -> KnownVersion | None:
        """Return the version that is asked beside the one that serves, where a challenger is; None where none stands.

        The newest one that was never promoted, that neither the gate nor the check of its files turned down, and that
        is newer than production or of the same training: a held challenger is registered just before the refit that
        goes live in its place.
        """
        with session(self._database_url) as connection:
            row = connection.execute(SQL["challenger"]).fetchone()
        return known_version_of(row) if row else None

    def refuse(self, version: int, asked_by: Asker, reason: str) -> bool:
        """Put on record that a version was not promoted, who asked for it, and why not.

        Returns False where the last word on a move outside was the same, or was one on the same rollback by probation:
        those are tried again and again.
        """
        asked = {"version": version, "asked_by": asked_by, "reason": " ".join(reason.split())}
        with session(self._database_url) as connection:
            return connection.execute(SQL["refuse"], asked).rowcount > 0

    def refusals(self, limit: int, before: int | None = None) -> list[Refusal]:
        """Return what was refused, newest first, before the one with the id ``before`` if it is given."""
        asked = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [refusal_of(row) for row in connection.execute(SQL["refusals"], asked)]


def known_version_of(row: Row) -> KnownVersion:
    """Return the version of a row."""
    registered = RegisteredVersion(
        version=row["version"],
        recipe=Recipe(row["recipe"]["model"], row["recipe"]["hyperparameters"]),
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
    recipe = {"model": registered.recipe.model, "hyperparameters": dict(registered.recipe.hyperparameters)}
    return {
        "version": registered.version,
        "manifest_sha256": registered.manifest_sha256,
        "registered_at": registered.created_at,
        "training_id": known.training_id,
        "role": known.role,
        "recipe": Jsonb(recipe),
        "verdict": known.verdict,
        "reason": known.reason,
        "metrics": Jsonb(dict(known.metrics)),
        "tags": Jsonb(dict(known.tags)),
        "snapshot_sha256": registered.snapshot.content_sha256,
        "snapshot_n_ratings": registered.snapshot.n_ratings,
        "snapshot_newest_rated_at": registered.snapshot.newest_rated_at,
        "code_version": known.code_version,
    }
