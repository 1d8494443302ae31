"""The versions' files on this machine: brought from the registry, verified, and tidied up."""

import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import MODEL, is_missing, registry_errors
from cineclub.adapters.mlflow.packaging import ARRAYS
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings import Movie
from cineclub.domain.recommender import FittedModel
from cineclub.ports import RegisteredVersion

LOCAL_COPY = re.compile(r"\d+-[0-9a-f]{12}")
STALE_SECONDS = 24 * 3600


class ArtifactReading(Protocol):
    """How files become a model again."""

    def read_artifact(self, folder: Path, expected_manifest_sha256: str) -> tuple[FittedModel, dict[int, Movie]]:
        """Return the checked model of a folder."""
        ...

    def adopt_artifact(self, source: Path, folder: Path, expected_manifest_sha256: str) -> None:
        """Move a checked folder to its place."""
        ...

    def verify_artifact(self, folder: Path, expected_manifest_sha256: str) -> None:
        """Compare a folder's answers with the fitted model's in a fresh process."""
        ...


class LocalCopies:
    """The folder ``models`` of CINECLUB_HOME, where the API finds what was promoted."""

    def __init__(self, tracking_uri: str, client: MlflowClient, home: Path, artifacts: ArtifactReading) -> None:
        """Fetch what is missing through the client of a store or server."""
        self._tracking_uri = tracking_uri
        self._client = client
        self._home = home
        self._models_folder = home / "models"
        self._artifacts = artifacts

    def folder_of(self, version: RegisteredVersion) -> Path:
        """Return where the local copy of a version lies once it was promoted."""
        return self._models_folder / version.copy_name

    def bring_home(self, version: RegisteredVersion) -> Path:
        """Return the local copy of a version, verified in a fresh process; a damaged one is downloaded again.

        Raises:
            BrokenArtifact: what the registry has does not load, or answers otherwise than the fitted model.
            RegistryUnavailable: there is no sound copy here, and the store does not answer.
        """
        folder = self.folder_of(version)
        if folder.is_dir():
            with suppress(BrokenArtifact):
                self._artifacts.verify_artifact(folder, version.manifest_sha256)
                return folder
        with self.downloaded(version) as downloaded:
            self._artifacts.verify_artifact(downloaded, version.manifest_sha256)
            self._artifacts.adopt_artifact(downloaded, folder, version.manifest_sha256)
        return folder

    def load(self, version: RegisteredVersion) -> FittedModel:
        """Return a version's model, checked against its manifest.

        Raises:
            BrokenArtifact: its files are damaged.
        """
        local = self.folder_of(version)
        if local.is_dir():
            return self._artifacts.read_artifact(local, version.manifest_sha256)[0]
        with self.downloaded(version) as folder:  # the arrays stay mapped when the folder is gone
            return self._artifacts.read_artifact(folder, version.manifest_sha256)[0]

    def forget_all_but(self, kept: Collection[str]) -> None:
        """Delete the local copies whose names are not kept, and what a killed process left unfinished.

        A process that still answers from a deleted copy keeps its mapped arrays.
        """
        copies = [path for path in self._models_folder.iterdir() if LOCAL_COPY.fullmatch(path.name)]
        old = [path for path in copies if path.name not in kept]
        unfinished = [*self._models_folder.glob(".*-*"), *(self._home / "unfinished").glob("*")]
        stale = [path for path in unfinished if time.time() - path.stat().st_mtime > STALE_SECONDS]
        for path in old + stale:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def downloaded(self, version: RegisteredVersion) -> Iterator[Path]:
        """Give a version's files, as the registry has them, in a folder that goes away afterwards."""
        with self.temporary_folder() as folder:
            yield self._download(version, folder)

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Give a folder on the disk of the local copies, so that a finished one only has to be renamed."""
        parent = self._home / "unfinished"
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            yield Path(folder)

    def _download(self, version: RegisteredVersion, folder: Path) -> Path:
        """Bring a version's files into a folder and return where they lie."""
        with registry_errors(f"version {version.version}"):
            uri = self._client.get_model_version_download_uri(MODEL, str(version.version))
            try:
                found = download_artifacts(
                    artifact_uri=f"{uri.rstrip('/')}/{ARRAYS}",  # never the code beside it
                    dst_path=str(folder),
                    tracking_uri=self._tracking_uri,
                    registry_uri=self._tracking_uri,
                )
            except (MlflowException, FileNotFoundError) as error:
                if isinstance(error, MlflowException) and not is_missing(error):
                    raise
                message = f"the files of version {version.version} are gone from {uri}: train again or roll back"
                raise BrokenArtifact(message) from error
        return Path(found)
