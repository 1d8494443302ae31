"""The model that answers: loaded when the promotions name a new one, swapped between two requests."""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cineclub.background import Pauses, Watch
from cineclub.domain.errors import BrokenArtifact, StorageUnavailable
from cineclub.domain.ratings import Movie
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.ports import LiveModel, ModelMetrics, Production, ProductionReader, Promotion

log = logging.getLogger(__name__)

LoadArtifact = Callable[[Path, str], tuple[FittedModel, Mapping[int, Movie]]]
"""Returns the checked model of a folder whose manifest has this SHA-256, or raises ``BrokenArtifact``."""

SERVING_FILE = "serving.json"
MANIFEST_FILE = "manifest.json"
MAX_RETRY_SECONDS = 60.0


class LiveModelHolder:
    """Keeps the promoted model in memory; a broken or missing one never replaces one that answers."""

    def __init__(
        self,
        production: ProductionReader,
        load: LoadArtifact,
        models_folder: Path,
        metrics: ModelMetrics,
        poll_seconds: float,
        after_swap: Callable[[], None] = lambda: None,
    ) -> None:
        """Take where promotions are read, how and from where artifacts are loaded, and how often to look.

        ``after_swap`` is called in a thread once a model has been let go for another.
        """
        self._production = production
        self._load = load
        self._models_folder = models_folder
        self._metrics = metrics
        self._poll_seconds = poll_seconds
        self._after_swap = after_swap
        self._live: LiveModel | None = None
        self._watch = Watch("live_model", self.refresh, Pauses(poll_seconds, poll_seconds))
        self._refused: str | None = None
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self.promotion: Promotion | None = None
        self.movie_ids_are_integers: bool | None = None

    def current(self) -> LiveModel | None:
        """Return the model that answers now; None before the first one was loaded."""
        return self._live

    async def start(self) -> None:
        """Load what is promoted, or the last good copy when PostgreSQL is away, then keep looking."""
        try:
            await self.refresh()
        except StorageUnavailable:
            log.warning("database_away_at_start")
        if self._live is None:
            await self._serve_last_good()
        await self._watch.start()

    async def stop(self) -> None:
        """Stop looking; the loaded model stays usable."""
        await self._watch.stop()

    async def refresh(self) -> None:
        """Look once at the promotions and load what they name if another model answers now.

        Raises:
            StorageUnavailable: PostgreSQL does not answer; what is loaded keeps answering.
        """
        state = await self._production.read()
        self.movie_ids_are_integers = state.movie_ids_are_integers
        self._metrics.refusals_known(state.n_refusals)
        if state.promotion is not None and self._is_due(state.promotion):
            await self._serve(state.promotion, state)

    def _is_due(self, promotion: Promotion) -> bool:
        """Say whether this promotion is not yet served, and not refused a moment ago."""
        if self.promotion is not None and _key(promotion) == _key(self.promotion):
            self.promotion = promotion
            return False
        return _key(promotion) != self._refused or asyncio.get_running_loop().time() >= self._retry_at

    async def _serve(self, promotion: Promotion, state: Production) -> None:
        """Load a promoted version and let it answer; keep the old one when it is broken."""
        try:
            folder = folder_of(promotion, self._models_folder)
            live = await asyncio.to_thread(self._loaded, promotion, folder)
        except BrokenArtifact as error:
            self._refuse(promotion, error)
            return
        self._swap(promotion, live)
        await asyncio.to_thread(self._write_serving_file, promotion, folder, state.movie_ids_are_integers)
        await asyncio.to_thread(self._after_swap)

    def _loaded(self, promotion: Promotion, folder: Path) -> LiveModel:
        """Return the checked model of a folder."""
        fitted, movies = self._load(folder, promotion.manifest_sha256)
        return LiveModel.of(promotion.version, fitted, movies)

    def _swap(self, promotion: Promotion, live: LiveModel) -> None:
        """Let a loaded model answer from the next request on."""
        self._live, self.promotion = live, promotion
        self._refused, self._retry_seconds = None, 0.0
        self._metrics.model_served(promotion)
        log.info("model_served version=%s recipe=%s", promotion.version, promotion.recipe)

    def _refuse(self, promotion: Promotion, error: BrokenArtifact) -> None:
        """Count and log a broken version; look at it again later, in case its files were still on their way."""
        if _key(promotion) != self._refused:
            log.error("model_refused version=%s cause=%s", promotion.version, error)
            self._retry_seconds = 0.0
        self._metrics.model_refused()
        self._refused = _key(promotion)
        self._retry_seconds = min(MAX_RETRY_SECONDS, max(self._poll_seconds, 2 * self._retry_seconds))
        self._retry_at = asyncio.get_running_loop().time() + self._retry_seconds

    async def _serve_last_good(self) -> None:
        """Serve the last good copy on this disk, the one served last first."""
        for promotion, folder, ids_are_integers in await asyncio.to_thread(self._local_copies):
            try:
                live = await asyncio.to_thread(self._loaded, promotion, folder)
            except BrokenArtifact as error:
                self._refuse(promotion, error)
                continue
            self._swap(replace(promotion, recipe=live.fitted.recipe), live)
            if self.movie_ids_are_integers is None:
                self.movie_ids_are_integers = ids_are_integers
            return

    def _local_copies(self) -> list[tuple[Promotion, Path, bool | None]]:
        """Return what can be served without a database: what the serving file names, then the newest copies."""
        copies = [] if (served := self._read_serving_file()) is None else [served]
        for folder in sorted(self._models_folder.glob("*-*"), key=_version_of, reverse=True):
            manifest = folder / MANIFEST_FILE
            if _version_of(folder) > 0 and manifest.is_file():
                sha256 = hashlib.sha256(manifest.read_bytes()).hexdigest()
                if folder.name.endswith(sha256[:12]):
                    promoted_at = datetime.fromtimestamp(manifest.stat().st_mtime).astimezone()
                    copies.append((_copy_of(_version_of(folder), promoted_at, sha256), folder, None))
        return copies

    def _write_serving_file(self, promotion: Promotion, folder: Path, ids_are_integers: bool) -> None:  # noqa: FBT001 - a fact to write down, not a switch
        """Note what is served, for a start without a database; a full disk must not stop the service."""
        facts = {
            "version": promotion.version,
            "promoted_at": promotion.promoted_at.isoformat(),
            "manifest_sha256": promotion.manifest_sha256,
            "artifact_folder": str(folder),
            "movie_ids_are_integers": ids_are_integers,
        }
        path = self._models_folder / SERVING_FILE
        unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
        try:
            self._models_folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(facts, indent=1))
            unfinished.replace(path)
        except OSError as error:
            log.warning("serving_file_not_written cause=%s", error)

    def _read_serving_file(self) -> tuple[Promotion, Path, bool | None] | None:
        """Return what was served last on this machine; None when the file is missing or damaged."""
        try:
            facts = json.loads((self._models_folder / SERVING_FILE).read_text())
            promoted_at = datetime.fromisoformat(facts["promoted_at"])
            promotion = _copy_of(int(facts["version"]), promoted_at, str(facts["manifest_sha256"]))
            return promotion, Path(facts["artifact_folder"]), bool(facts["movie_ids_are_integers"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Copied(Protocol):
    """A version with a local copy: a promotion, or what else is loaded."""

    @property
    def version(self) -> int:
        """Its number."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """The hash of what was registered."""
        ...

    @property
    def artifact_folder(self) -> str:
        """The name of the copy, empty if nobody gave it one."""
        ...


def folder_of(promotion: Copied, models_folder: Path) -> Path:
    """Return the local copy of a version: where the promotion says, else under our own models folder.

    Raises:
        BrokenArtifact: this machine has no copy.
    """
    named = Path(promotion.artifact_folder) if promotion.artifact_folder else None
    own = models_folder / f"{promotion.version}-{promotion.manifest_sha256[:12]}"
    found = [folder for folder in (named, own) if folder is not None and folder.is_dir()]
    if not found:
        message = f"version {promotion.version} has no copy on this machine ({own} is missing): start the worker"
        raise BrokenArtifact(message)
    return found[0]


def _key(promotion: Promotion) -> str:
    """Return what tells two served models apart."""
    return f"{promotion.version}-{promotion.manifest_sha256}"


def _version_of(folder: Path) -> int:
    """Return the version that a local copy's folder name begins with; 0 for other folders."""
    number = folder.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _copy_of(version: int, promoted_at: datetime, manifest_sha256: str) -> Promotion:
    """Return what is known of a promotion from the disk alone."""
    unknown = "read from the local copy: the database is away"
    return Promotion(version, promoted_at, "UNKNOWN", unknown, "", Recipe("unknown"), manifest_sha256)
