"""The folder ``models`` of CINECLUB_HOME: local copies of versions, which the service loads."""

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cineclub.adapters.model_store.manifest import MANIFEST
from cineclub.adapters.model_store.reading import read_artifact, read_snapshot_identity
from cineclub.adapters.model_store.verification import verify_artifact
from cineclub.adapters.model_store.writing import adopt_artifact, write_artifact
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.promotion.records import Promotion, ServableCopy
from cineclub.domain.promotion.versions import RegisteredVersion, copy_name
from cineclub.domain.ratings.log import Movie, SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.runtime.unfinished import PREFIX, SUFFIX, clear_leftovers, unfinished_file, unfinished_folder

log = logging.getLogger(__name__)

SERVING_FILE = "serving.json"
COPY_NAME = re.compile(r"(\d+)-[0-9a-f]{12}")
STALE_SECONDS = 24 * 3600


class LocalModelStore:
    """Model artifacts under CINECLUB_HOME; implements the port ``ModelStore``."""

    def __init__(self, home: Path) -> None:
        """Use the folders ``models`` and ``unfinished`` of ``home``."""
        self._models = home / "models"
        self._unfinished = home / "unfinished"

    @contextmanager
    def written(
        self, fitted: FittedModel, movies: Sequence[Movie], snapshot: SnapshotIdentity
    ) -> Iterator[tuple[Path, str]]:
        """Write an artifact; return its folder, which is deleted afterwards, and the SHA-256 of its manifest."""
        with self._temporary_folder() as folder:
            yield folder / "model", write_artifact(folder / "model", fitted, movies, snapshot)

    def folder_of(self, version: RegisteredVersion) -> Path:
        """Return the folder of a version's local copy; BrokenArtifact without one."""
        return self._copy_of(*version.key, "")

    def has_copy(self, version: int, manifest_sha256: str) -> bool:
        """Return whether there is a local copy of a version."""
        return (self._models / copy_name(version, manifest_sha256)).is_dir()

    def bring_home(self, version: RegisteredVersion, download: Callable[[RegisteredVersion, Path], Path]) -> None:
        """Verify the local copy of a version in a fresh process; download it where it is missing or damaged.

        Raises:
            BrokenArtifact: the registered files do not load, or the scores differ from the fitted model's.
        """
        copy = self._models / version.copy_name
        if copy.is_dir():
            with suppress(BrokenArtifact):
                verify_artifact(copy, version.manifest_sha256)
                return
        with self._temporary_folder() as folder:
            arrays = download(version, folder)
            verify_artifact(arrays, version.manifest_sha256)
            adopt_artifact(arrays, copy, version.manifest_sha256)

    def load(self, version: RegisteredVersion, download: Callable[[RegisteredVersion, Path], Path]) -> FittedModel:
        """Return the model of a version from its local copy, else from the registry.

        Raises:
            BrokenArtifact: its files are damaged.
        """
        copy = self._models / version.copy_name
        if copy.is_dir():
            return read_artifact(copy, version.manifest_sha256)[0]
        with self._temporary_folder() as folder:  # the arrays stay mapped when the folder is deleted
            return read_artifact(download(version, folder), version.manifest_sha256)[0]

    def read(
        self, version: int, manifest_sha256: str, artifact_folder: str = ""
    ) -> tuple[FittedModel, dict[int, Movie]]:
        """Return the model of a local copy, its arrays mapped read-only, with its movies by internal id.

        Raises:
            BrokenArtifact: there is no local copy, or it is damaged.
        """
        return read_artifact(self._copy_of(version, manifest_sha256, artifact_folder), manifest_sha256)

    def snapshot_of(self, promotion: Promotion) -> SnapshotIdentity:
        """Return the ratings that a promoted version was fitted on.

        Raises:
            BrokenArtifact: there is no local copy, or its manifest is damaged.
        """
        folder = self._copy_of(*promotion.key, promotion.artifact_folder)
        return read_snapshot_identity(folder, promotion.manifest_sha256)

    def keep_only(self, names: Collection[str]) -> None:
        """Delete every other local copy, and the unfinished files of killed processes.

        A process that still serves from a deleted copy keeps its mapped arrays.
        """
        copies = [path for path in self._models.iterdir() if COPY_NAME.fullmatch(path.name)]
        old = [path for path in copies if path.name not in names]
        for path in old:
            shutil.rmtree(path, ignore_errors=True)
        clear_unfinished(self._models.parent)

    def note_served(self, promotion: Promotion, *, movie_ids_are_integers: bool) -> None:
        """Write the facts of the serving version for a start without a database; a failure is logged only."""
        try:
            facts = {
                "version": promotion.version,
                "promoted_at": promotion.promoted_at.isoformat(),
                "manifest_sha256": promotion.manifest_sha256,
                "artifact_folder": str(self._copy_of(*promotion.key, promotion.artifact_folder)),
                "movie_ids_are_integers": movie_ids_are_integers,
            }
            self._models.mkdir(parents=True, exist_ok=True)
            with unfinished_file(self._models / SERVING_FILE) as unfinished:
                unfinished.write_text(json.dumps(facts, indent=1))
        except (OSError, BrokenArtifact) as error:
            log.warning("serving_file_not_written cause=%s", error)

    def servable_copies(self) -> list[ServableCopy]:
        """Return the local copies that can serve without a database: the last one that served, then the newest."""
        copies = [] if (served := self._last_served()) is None else [served]
        numbered = [(int(name[1]), path) for path in self._models.glob("*") if (name := COPY_NAME.fullmatch(path.name))]
        for version, folder in sorted(numbered, reverse=True):
            manifest = folder / MANIFEST
            if version > 0 and manifest.is_file():
                sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
                if folder.name == copy_name(version, sha256):
                    promoted_at = datetime.fromtimestamp(manifest.stat().st_mtime).astimezone()
                    copies.append(ServableCopy(_promotion_of_copy(version, promoted_at, sha256, folder)))
        return copies

    def _last_served(self) -> ServableCopy | None:
        """Return the copy that served last on this machine; None when the file is missing or damaged."""
        try:
            facts = json.loads((self._models / SERVING_FILE).read_text())
            promoted_at, folder = datetime.fromisoformat(facts["promoted_at"]), Path(facts["artifact_folder"])
            promotion = _promotion_of_copy(int(facts["version"]), promoted_at, str(facts["manifest_sha256"]), folder)
            return ServableCopy(promotion, bool(facts["movie_ids_are_integers"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _copy_of(self, version: int, manifest_sha256: str, artifact_folder: str) -> Path:
        """Return the folder that the promotion names, else the one in ``models``; BrokenArtifact without either."""
        own = self._models / copy_name(version, manifest_sha256)
        folders = [Path(artifact_folder), own] if artifact_folder else [own]
        copy = next((folder for folder in folders if folder.is_dir()), None)
        if copy is None:
            message = f"version {version} has no copy on this machine ({own} is missing): start the worker"
            raise BrokenArtifact(message)
        return copy

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """Yield a folder on the disk of the local copies, so that a finished one can be renamed."""
        with unfinished_folder(self._unfinished) as folder:
            yield folder


def clear_unfinished(home: Path) -> None:
    """Delete what killed processes left unfinished in the folders of a home, as far as they can be written.

    What a process of an earlier release may still be writing, which holds no lock, is deleted when it is a day old.
    """
    models, unfinished = home / "models", home / "unfinished"
    for folder in (home, models, unfinished):
        clear_leftovers(folder)
    with suppress(OSError):
        for path in [*models.glob(".*-*"), *models.glob("*.unfinished"), *unfinished.glob("*")]:
            if not path.name.endswith(SUFFIX) or not path.name.startswith(PREFIX):
                _delete_if_stale(path)


def _delete_if_stale(path: Path) -> None:
    """Delete a file or folder that nobody has changed for a day."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _promotion_of_copy(version: int, promoted_at: datetime, manifest_sha256: str, folder: Path) -> Promotion:
    """Return a promotion with the facts that a local copy has."""
    reason = "read from the local copy: the database is away"
    recipe = Recipe("unknown")
    return Promotion(version, promoted_at, "UNKNOWN", reason, "", recipe, manifest_sha256, artifact_folder=str(folder))
