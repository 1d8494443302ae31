"""The promotion history: its newest row decides which version serves; only the holder of a training adds its row."""

from dataclasses import replace

import psycopg

from cineclub.adapters.postgres.alias_record import AliasRecord
from cineclub.adapters.postgres.installation import InstallationRecord
from cineclub.adapters.postgres.sessions import ADVISORY_FAMILY, AdvisoryLock, Row, named_queries, session
from cineclub.adapters.postgres.versions import VersionHistory
from cineclub.domain.errors import Conflict, LeaseLost, TrainingCancelled
from cineclub.domain.promotion.records import Compared, NewPromotion, Promotion
from cineclub.domain.recommend.recipe import Recipe

SQL = named_queries("promotions.sql")
CHANNEL = "cineclub_promotions"
"""Channel notified with the version's number when a promotion is committed."""

BY_REQUEST = {"person", "probation"}
"""Values of ``promoted_by`` for which each request makes a row of its own, or is refused."""

BY_THE_GATE = {"training": "gate"}
"""Values of ``promoted_by`` in rows of earlier releases, and their present values."""


class PostgresPromotions(VersionHistory, AliasRecord, InstallationRecord):
    """Promotions, versions, refusals, alias and installation in PostgreSQL; implements ``PromotionHistory``.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str, holder: str | None = None) -> None:
        """Use this database; ``holder`` is the worker whose trainings may promote."""
        super().__init__(database_url)
        self._holder = holder

    def newest(self) -> Promotion | None:
        """Return the promotion that decides which version serves; None before the first."""
        with session(self._database_url) as connection:
            return current(connection)

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:
        """Return the promotions, newest first, those recorded before the one with this id if it is given."""
        page = {"limit": limit, "before": before}
        with session(self._database_url) as connection:
            return [promotion_of(row) for row in connection.execute(SQL["history"], page)]

    def record(self, promotion: NewPromotion, compared: Compared | None = None) -> Promotion:
        """Record a promotion and return it, while no other worker can take the training over or promote.

        A version that serves already is not recorded again: a person is refused, and a training goes on. The lease is
        checked for the promotion of a training only. The alias follows later.

        Raises:
            Conflict: another version serves by now than the one it was compared with, or for a person the same one.
            LeaseLost: the training is no longer this worker's.
            TrainingCancelled: a person cancelled the training.
        """
        with session(self._database_url) as connection, connection.transaction():
            if promotion.training_id is not None and self._holder is not None:
                trigger = self._lock_training(connection, promotion.training_id)
                promotion = replace(promotion, promoted_by="drift") if trigger == "drift" else promotion
            connection.execute(SQL["one_at_a_time"], {"family": ADVISORY_FAMILY, "promotion": AdvisoryLock.PROMOTIONS})
            serving = current(connection)
            if serving and serving.key == promotion.key and promotion.promoted_by not in BY_REQUEST:
                return serving
            if conflict := _conflict(promotion, serving, compared):
                raise Conflict(conflict)
            columns = {name: getattr(promotion, name) for name in NewPromotion.__dataclass_fields__}
            columns["recipe"] = promotion.recipe.to_json()
            row = connection.execute(SQL["append"], columns).fetchone()
            connection.execute(SQL["announce"], {"channel": CHANNEL, "version": str(promotion.version)})
        if row is None:
            message = "the promotion was not recorded: another version of cineclub has changed the table"
            raise Conflict(message)
        return promotion_of(row)

    def check_lease(self, training_id: str) -> None:
        """Check that the training is this worker's.

        Raises:
            LeaseLost: another worker has taken it over.
        """
        if self._holder is None:
            return
        with session(self._database_url) as connection:
            row = connection.execute(SQL["holder"], {"training_id": training_id}).fetchone()
        if row is not None and (row["worker"], row["status"]) != (self._holder, "running"):
            message = f"another worker has taken training {training_id} over: this one registers nothing"
            raise LeaseLost(message)

    def _lock_training(self, connection: psycopg.Connection[Row], training_id: str) -> str:
        """Lock the training's row until the promotion is committed, if it is this worker's; return its trigger."""
        params = {"training_id": training_id, "worker": self._holder}
        row = connection.execute(SQL["lock_training"], params).fetchone()
        if row is None:
            message = f"another worker has taken training {training_id} over: this one promotes nothing"
            raise LeaseLost(message)
        if row["cancel_requested"]:
            message = f"training {training_id} was cancelled: nothing was promoted"
            raise TrainingCancelled(message)
        return str(row["trigger"])


def _conflict(promotion: NewPromotion, serving: Promotion | None, compared: Compared | None) -> str:
    """Return why a promotion cannot be recorded while a version serves; empty where it can."""
    if serving is not None and serving.key == promotion.key:
        return f"version {promotion.version} is in production already; that decision stands: {serving}"
    if compared is not None and not compared.still_serves(serving):
        now = f"version {serving.version}" if serving else "nothing"
        cause = f"{now} was put into production meanwhile, which it was not compared with"
        decision = f": {serving}" if serving else ""
        return f"version {promotion.version} was not promoted: {cause}; that decision stands{decision}"
    return ""


def current(connection: psycopg.Connection[Row]) -> Promotion | None:
    """Return the promotion that decides which version serves, read over a connection with ``dict_row``."""
    row = connection.execute(SQL["newest"]).fetchone()
    return promotion_of(row) if row else None


async def current_async(connection: psycopg.AsyncConnection[Row]) -> Promotion | None:
    """Return the promotion that decides which version serves, read over a connection with ``dict_row``."""
    row = await (await connection.execute(SQL["newest"])).fetchone()
    return promotion_of(row) if row else None


def promotion_of(row: Row) -> Promotion:
    """Return the promotion of a row."""
    return Promotion(
        version=row["version"],
        promoted_at=row["promoted_at"],
        verdict=row["verdict"],
        reason=row["reason"],
        promoted_by=str(BY_THE_GATE.get(row["promoted_by"], row["promoted_by"])),
        recipe=Recipe(**row["recipe"]),
        manifest_sha256=row["manifest_sha256"],
        previous_version=row["previous_version"],
        training_id=str(row["training_id"]) if row["training_id"] else None,
        artifact_folder=row["artifact_folder"],
        promotion_id=row["id"],
    )
