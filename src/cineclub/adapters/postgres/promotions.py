"""The history of what served. Its newest row decides what is served, and only the owner of a training may add one."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, Row, named_queries, session
from cineclub.domain.errors import LeaseLost, TrainingCancelled
from cineclub.domain.recipe import Recipe
from cineclub.ports import NewPromotion, Promotion

SQL = named_queries("promotions.sql")
PROMOTION = 3
"""Beside the migrations, which have 1, and the presence of workers, which has 2."""
CHANNEL = "cineclub_promotions"
"""Notified with the version's number when a promotion is committed."""


class PromotionHistory:
    """Promotions in PostgreSQL, as the worker writes and everybody reads them."""

    def __init__(self, database_url: str, holder: str | None = None) -> None:
        """Use this database; ``holder`` is the worker whose trainings may promote."""
        self._database_url = database_url
        self._holder = holder

    def newest(self) -> Promotion | None:
        """Return the promotion that decides what is served; None before the first."""
        with session(self._database_url) as connection:
            return current(connection)

    def recent(self, limit: int) -> list[Promotion]:
        """Return the promotions, newest first."""
        with session(self._database_url) as connection:
            return [promotion_of(row) for row in connection.execute(SQL["history"], {"limit": limit})]

    def record(self, promotion: NewPromotion, move_alias: Callable[[], None]) -> Promotion:
        """Add a promotion and move the alias with it, while nobody else can take the training over or promote.

        The row appears only if ``move_alias`` succeeded; what serves already is not recorded again. A promotion without
        a training is a person's: no lease guards it.

        Raises:
            LeaseLost: the training is no longer this worker's.
            TrainingCancelled: a person asked to stop before this moment.
            StorageUnavailable: PostgreSQL does not answer.
        """
        with session(self._database_url) as connection, connection.transaction():
            if promotion.training_id is not None and self._holder is not None:
                self._lock_training(connection, promotion.training_id)
            connection.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "promotion": PROMOTION})
            serving = current(connection)
            if serving and _key(serving) == _key(promotion):
                move_alias()
                return serving
            row = connection.execute(SQL["append"], _columns(promotion)).fetchone()
            move_alias()
            connection.execute(SQL["announce"], {"channel": CHANNEL, "version": str(promotion.version)})
        if row is None:
            message = "the promotion was not recorded: another version of cineclub has changed the table"
            raise LeaseLost(message)
        return promotion_of(row)

    def _lock_training(self, connection: psycopg.Connection[Row], training_id: str) -> None:
        """Lock the training's row until the promotion is committed, if it is still this worker's to promote."""
        owned = {"training_id": training_id, "worker": self._holder}
        row = connection.execute(SQL["lock_training"], owned).fetchone()
        if row is None:
            message = f"another worker has taken training {training_id} over: this one promotes nothing"
            raise LeaseLost(message)
        if row["cancel_requested"]:
            message = f"training {training_id} was cancelled: nothing was promoted"
            raise TrainingCancelled(message)


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
        promoted_by=row["promoted_by"],
        recipe=Recipe(recipe["model"], recipe["hyperparameters"]),
        manifest_sha256=row["manifest_sha256"],
        previous_version=row["previous_version"],
        training_id=str(row["training_id"]) if row["training_id"] else None,
        artifact_folder=row["artifact_folder"],
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
