"""MLflow's alias ``production``: it follows the promotions, and what somebody else does to it is noticed."""

import re
from contextlib import AbstractContextManager
from typing import Protocol

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import MODEL, is_missing, registry_errors

PRODUCTION = "production"
NO_ALIAS = re.compile(rf"^(?:[A-Z_]+: )?Registered model alias {PRODUCTION} not found", re.IGNORECASE)
"""MLflow has no error code of its own for this; a fault of its database can name the alias too."""


class AliasMemory(Protocol):
    """Where it is kept what the alias was last set to by us."""

    def alone(self, wait_seconds: float) -> AbstractContextManager[bool]:
        """Say whether nobody else moves the alias while the block runs."""
        ...

    def ours(self) -> set[int | None]:
        """Return what the alias names if nobody but us moved it."""
        ...

    def is_moving(self, version: int | None) -> None:
        """Note where the alias is about to be set to."""
        ...

    def has_moved(self, version: int | None) -> None:
        """Note where the alias was set to."""
        ...


class ProductionAlias:
    """The alias with the memory of where we set it."""

    def __init__(self, client: MlflowClient, memory: AliasMemory) -> None:
        """Move the alias through this client."""
        self._client = client
        self.memory = memory

    def found(self) -> ModelVersion | None:
        """Return what the alias names; None where it is not there."""
        with registry_errors(f"the alias {PRODUCTION}"):
            try:
                return self._client.get_model_version_by_alias(MODEL, PRODUCTION)
            except MlflowException as error:
                if is_missing(error) or NO_ALIAS.search(str(error)):
                    return None
                raise

    def move(self, version: int) -> None:
        """Let the alias name a version; a crash in the middle leaves a trace that says that it was us."""
        self.memory.is_moving(version)
        with registry_errors(f"version {version}"):
            self._client.set_registered_model_alias(MODEL, PRODUCTION, str(version))
        self.memory.has_moved(version)

    def take_away(self) -> None:
        """Let there be no alias."""
        with registry_errors(f"the alias {PRODUCTION}"):
            self._client.delete_registered_model_alias(MODEL, PRODUCTION)
        self.memory.has_moved(None)
