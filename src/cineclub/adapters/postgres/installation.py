"""The identity of this installation in its database, and the registry that has its versions."""

from collections.abc import Collection

from cineclub.adapters.postgres.sessions import named_queries, session
from cineclub.domain.promotion.ownership import Installation, RegistryPlace

SQL = named_queries("versions.sql")


class InstallationRecord:
    """The row about the installation.

    Its methods raise StorageUnavailable while PostgreSQL does not answer.
    """

    def __init__(self, database_url: str) -> None:
        """Use this database; each call opens one short connection."""
        self._database_url = database_url

    def installation(self) -> Installation:
        """Return the identity of the installation, and its registry."""
        with session(self._database_url) as connection:
            row = connection.execute(SQL["installation"]).fetchall()[0]
        is_recorded = row["registry_address"] is not None
        place = RegistryPlace(row["registry_address"], row["model_name"]) if is_recorded else None
        return Installation(row["installation_id"], row["registry_id"], place)

    def record_registry(self, registry_id: str, place: RegistryPlace) -> None:
        """Record the registry that has the installation's versions from now on."""
        values = {"registry_id": registry_id, "address": place.address, "model_name": place.model_name}
        with session(self._database_url) as connection:
            connection.execute(SQL["record_registry"], values)

    def own_trainings(self, training_ids: Collection[str]) -> set[str]:
        """Return those of these trainings that this installation knows."""
        with session(self._database_url) as connection:
            rows = connection.execute(SQL["own_trainings"], {"training_ids": list(training_ids)})
            return {row["id"] for row in rows}
