"""Several installations of cineclub, each with a database and a home of its own, over one MLflow store."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import psycopg
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import connect, shown_address, store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.adapters.model_store import LocalModelStore
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.promotion.ownership import RegistryPlace
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.promotion.registration import RegistrationFlow
from registry_bench import RECORD
from small_models import fitted_model, movies_of


@dataclass(frozen=True, slots=True)
class Installed:
    """An installation whose versions are in a registered model of a store; an empty store is its own PostgreSQL."""

    database_url: str
    home: Path
    store: str = ""
    model_name: str = "cineclub"

    @property
    def address(self) -> str:
        """The address of the store."""
        return self.store or store_uri(self.database_url)

    @property
    def place(self) -> RegistryPlace:
        """The registered model."""
        return RegistryPlace(shown_address(self.store), self.model_name) if self.store else RegistryPlace()

    @property
    def client(self) -> MlflowClient:
        """A client of the store."""
        return connect(self.address)

    @property
    def promotions(self) -> PostgresPromotions:
        """The promotion history."""
        return PostgresPromotions(self.database_url)

    def flow(self) -> PromotionFlow:
        """Return the promotion flow of a new process."""
        registry = MlflowRegistry(self.address, self.home, self.model_name)
        return PromotionFlow(RegistrationFlow(registry, LocalModelStore(self.home), self.promotions, self.place))

    def registered(self, seed: int = 0) -> RegisteredVersion:
        """Register a version as a training does."""
        versions, fitted = self.flow().versions, fitted_model(seed=seed)
        versions.open()
        return versions.register(str(uuid.uuid4()), fitted, movies_of(fitted), RECORD)

    def promoted(self, seed: int = 0) -> RegisteredVersion:
        """Register and promote a version."""
        version = self.registered(seed)
        self.flow().promote(version.version, "a test")
        return version

    def alias(self) -> int:
        """Return the version under the alias."""
        return int(self.client.get_model_version_by_alias(self.model_name, "production").version)

    def numbers(self) -> list[int]:
        """Return the numbers in the registry, in their order."""
        versions = self.client.search_model_versions(f"name = '{self.model_name}'")
        return sorted(int(version.version) for version in versions)


def become_another(database_url: str) -> None:
    """Give a database that is a copy the identity of an installation of its own."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE cineclub.installation SET installation_id = gen_random_uuid(), registry_id = gen_random_uuid()"
        )


def forget_registry(database_url: str) -> None:
    """Let an installation not know of its registry, as after an upgrade from an earlier release."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.installation SET registry_address = NULL, model_name = NULL")
