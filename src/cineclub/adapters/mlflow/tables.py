"""MLflow's tables as of one of its revisions, made by MLflow's own migrations."""

from pathlib import Path

import mlflow
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from cineclub.adapters.mlflow.client import registry_errors, store_uri
from cineclub.domain.errors import InvalidInput

MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


def migrate_tables(database_url: str, schema: str, revision: str) -> None:
    """Create or upgrade MLflow's tables in a schema up to a revision.

    Raises:
        InvalidInput: the installed MLflow does not have the revision.
        RegistryUnavailable: the database refuses.
    """
    engine = create_engine(store_uri(database_url, schema), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with registry_errors("its tables"):
        Base.metadata.create_all(engine)
        try:
            with engine.connect() as connection:
                config.attributes["connection"] = connection  # MLflow's environment of migrations takes its engine
                command.upgrade(config, revision)
        except CommandError as error:
            message = (
                f"the registry in the backup is of another MLflow ({error}): restore with the release that made it"
            )
            raise InvalidInput(message) from error
