"""The history of what served. Its newest row decides what is served, and only the owner of a training may add one."""

from dataclasses import replace
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.alias_record import AliasRecord
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.adapters.postgres.versions import VersionHistory
from cineclub.domain.errors import Conflict, LeaseLost, TrainingCancelled
from cineclub.domain.recipe import Recipe
from cineclub.ports import Compared, NewPromotion, Promotion

SQL = named_queries("promotions.sql")
CHANNEL = "cineclub_promotions"
"""Notified with the version's number when a promotion is committed."""

BY_THE_GATE = {"training": "gate"}
"""How rows of earlier releases say who promoted, and how it is said now."""


class PromotionHistory:
    """Promotions in PostgreSQL, as the worker writes and everybody reads them.

    Attributes:
        versions: what was registered and refused, in the same database.
        alias: where MLflow's alias was last set to by us.
    """

    def __init__(self, database_url: str, holder: str | None = None) -> None:
        """Use this database; ``holder`` is the worker whose trainings may promote."""
        self._database_url = database_url
        self._holder = holder
        self.versions = VersionHistory(database_url)
        self.alias = AliasRecord(database_url)

    def newest(self) -> Promotion | None:
        """Return the promotion that decides what is served; None before the first."""
        with session(self._database_url) as connection:
            return current(connection)

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:
        """Return the promotions, newest first, those recorded before the one with this id if it is given."""
        asked = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [promotion_of(row) for row in connection.execute(SQL["history"], asked)]

    def record(self, promotion: NewPromotion, compared: Compared | None = None) -> Promotion:
        """Add a promotion, while nobody else can take the training over or promote; the alias follows later.

        What serves already is not recorded again. A promotion without a training is a person's, or was seen from
        outside: no lease guards it.

        Raises:
            Conflict: something else serves by now than what it was compared with.
            LeaseLost: the training is no longer this worker's.
            TrainingCancelled: a person asked to stop before this moment.
            StorageUnavailable: PostgreSQL does not answer.
        """
        with session(self._database_url) as connection, connection.transaction():
            if promotion.training_id is not None and self._holder is not None:
                trigger = self._lock_training(connection, promotion.training_id)
                promotion = replace(promotion, promoted_by="drift") if trigger == "drift" else promotion
            connection.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "promotion": AdvisoryLock.PROMOTIONS})
            serving = current(connection)
            if serving and _key(serving) == _key(promotion):
                return serving
            if compared is not None and not compared.still_serves(serving):
                now = f"version {serving.version}" if serving else "nothing"
                message = (
                    f"version {promotion.version} was not promoted: {now} was put into production meanwhile, which it "
                    "was not compared with; that decision stands"
                )
                raise Conflict(message)
            row = connection.execute(SQL["append"], _columns(promotion)).fetchone()
            connection.execute(SQL["announce"], {"channel": CHANNEL, "version": str(promotion.version)})
        if row is None:
            message = "the promotion was not recorded: another version of cineclub has changed the table"
            raise Conflict(message)
        return promotion_of(row)

    def check_lease(self, training_id: str) -> None:
        """Refuse to go on with a training that is another worker's by now.

        Raises:
            LeaseLost: the training is no longer this worker's.
            StorageUnavailable: PostgreSQL does not answer.
        """
        if self._holder is None:
            return
        with session(self._database_url) as connection:
            row = connection.execute(SQL["holder"], {"training_id": training_id}).fetchone()
        if row is not None and (row["worker"], row["status"]) != (self._holder, "running"):
            message = f"another worker has taken training {training_id} over: this one registers nothing"
            raise LeaseLost(message)

    def _lock_training(self, connection: psycopg.Connection[Row], training_id: str) -> str:
        """Lock the training's row until the promotion is committed, if it is this worker's; return what started it."""
        owned = {"training_id": training_id, "worker": self._holder}
        row = connection.execute(SQL["lock_training"], owned).fetchone()
        if row is None:
            message = f"another worker has taken training {training_id} over: this one promotes nothing"
            raise LeaseLost(message)
        if row["cancel_requested"]:
            message = f"training {training_id} was cancelled: nothing was promoted"
            raise TrainingCancelled(message)
        return str(row["trigger"])


def current(connection: psycopg.Connection[Row]) -> Promotion | None:
    """Return the promotion that decides what is served, read over a connection with ``dict_row``."""
    row = connection.execute(SQL["newest"]).fetchone()
    return promotion_of(row) if row else None


async def current_async(connection: psycopg.AsyncConnection[Row]) -> Promotion | None:
    """Return the promotion that decides what is served, read over a connection with ``dict_row``."""
    row = await (await connection.execute(SQL["newest"])).fetchone()
    return promotion_of(row) if row else None


def promotion_of(row: Row) -> Promotion:
    """Return the promotion of a row."""
    recipe = row["recipe"]
    return Promotion(
        version=row["version"],
        promoted_at=row["promoted_at"],
        verdict=row["verdict"],
        reason=row["reason"],
        promoted_by=str(BY_THE_GATE.get(row["promoted_by"], row["promoted_by"])),
        recipe=Recipe(recipe["model"], recipe["hyperparameters"]),
        manifest_sha256=row["manifest_sha256"],
        previous_version=row["previous_version"],
        training_id=str(row["training_id"]) if row["training_id"] else None,
        artifact_folder=row["artifact_folder"],
        promotion_id=row["id"],
    )


def _key(promotion: Promotion | NewPromotion) -> tuple[int, str]:
    """Return what tells two served models apart."""
    return promotion.version, promotion.manifest_sha256


def _columns(promotion: NewPromotion) -> dict[str, Any]:
    """Return a promotion as query parameters."""
    recipe = {"model": promotion.recipe.model, "hyperparameters": dict(promotion.recipe.hyperparameters)}
    return {
        "version": promotion.version,
        "verdict": promotion.verdict,
        "reason": promotion.reason,
        "promoted_by": promotion.promoted_by,
        "training_id": promotion.training_id,
        "recipe": Jsonb(recipe),
        "manifest_sha256": promotion.manifest_sha256,
        "artifact_folder": promotion.artifact_folder,
    }
