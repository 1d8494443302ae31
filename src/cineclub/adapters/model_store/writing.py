"""Writing of artifacts: complete or not at all."""

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from cineclub.adapters.model_store.manifest import (
    ARRAY_NAME,
    MANIFEST,
    MODEL_PREFIX,
    MOVIE_IDS,
    MOVIES,
    POPULARITY,
    SAMPLE_SCORES,
    FileFacts,
    Manifest,
    sha256_of,
)
from cineclub.adapters.model_store.reading import read_artifact
from cineclub.adapters.model_store.samples import sample_scores
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.labels import label_document
from cineclub.domain.ratings.log import Movie, SnapshotIdentity
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.runtime.unfinished import folder_to_disk, unfinished_folder

MOVIE_FIELDS = ("movie_id", "external_id", "title", "year", "genres", "imdb_id", "tmdb_id")
"""What an artifact holds of each movie."""


def write_artifact(
    folder: Path, fitted: FittedModel, movies: Sequence[Movie], snapshot_identity: SnapshotIdentity
) -> str:
    """Write a fitted model with its movies as ``folder`` and return the SHA-256 of the manifest.

    The bytes, and so the hash, depend only on the arguments. An older folder of that name is replaced.

    Raises:
        BrokenArtifact: the model holds values that are not finite, or ``movies`` lacks a movie of its vocabulary.
    """
    with _appearing_at_once(folder) as staging:
        files = {name: _write_array(staging / name, array) for name, array in _arrays_of(fitted).items()}
        files[MOVIES] = _write_movies(staging / MOVIES, fitted, movies)
        manifest = Manifest(fitted.recipe, fitted.scale, snapshot_identity, files).to_bytes()
        _write_bytes(staging / MANIFEST, manifest)
    return hashlib.sha256(manifest).hexdigest()


def adopt_artifact(source: Path, folder: Path, expected_manifest_sha256: str) -> None:
    """Move a downloaded artifact to ``folder`` after checking it; a valid one in ``folder`` stays.

    Raises:
        BrokenArtifact: the source is damaged; ``folder`` is unchanged.
    """

    def is_sound() -> bool:
        try:
            read_artifact(folder, expected_manifest_sha256)
        except BrokenArtifact:
            return False
        return True

    if is_sound():
        return
    read_artifact(source, expected_manifest_sha256)
    with _appearing_at_once(folder, is_sound) as staging:
        for path in source.iterdir():
            moved = Path(shutil.move(path, staging / path.name))
            with moved.open("rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _appearing_at_once(folder: Path, is_sound: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Yield an empty folder to write into, and rename it to ``folder`` when its content is on the disk.

    A folder that is there is replaced, or stays if ``is_sound`` says so: another process may have made it meanwhile.
    """
    with unfinished_folder(folder.parent) as staging:
        yield staging
        folder_to_disk(staging)
        while not _is_renamed(staging, folder) and not is_sound():
            with unfinished_folder(folder.parent) as old, contextlib.suppress(FileNotFoundError):
                folder.rename(old / "replaced")
        folder_to_disk(folder.parent)


def _is_renamed(staging: Path, folder: Path) -> bool:
    """Rename a folder, and return whether that was possible: a rename replaces no full folder."""
    try:
        staging.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _arrays_of(fitted: FittedModel) -> dict[str, NDArray[np.generic]]:
    """Return every array of a fitted model by file name."""
    arrays: dict[str, NDArray[np.generic]] = {
        MOVIE_IDS: fitted.movie_ids,
        POPULARITY: fitted.popularity,
        SAMPLE_SCORES: sample_scores(fitted),
    }
    for name, array in fitted.recommender.arrays().items():
        if not ARRAY_NAME.fullmatch(name):
            message = f"the model {fitted.recipe.model} names an array {name!r}: use letters, digits and underscores"
            raise BrokenArtifact(message)
        arrays[f"{MODEL_PREFIX}{name}.npy"] = np.asarray(array)
    return arrays


def _write_array(path: Path, array: NDArray[np.generic]) -> FileFacts:
    """Write one array and return its facts."""
    if array.dtype.kind not in "biuf":
        message = f"{path.name} has the type {array.dtype}: an artifact holds numbers only"
        raise BrokenArtifact(message)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        message = f"{path.name} holds values that are not finite: the fit diverged, lower its learning rate"
        raise BrokenArtifact(message)
    with path.open("xb") as file:
        np.save(file, array, allow_pickle=False)
        _to_disk(file)
    return FileFacts(sha256_of(path), path.stat().st_size, array.shape, array.dtype.str)


def _write_movies(path: Path, fitted: FittedModel, movies: Sequence[Movie]) -> FileFacts:
    """Write the movies in the order of the vocabulary and return the file's facts."""
    by_id = {movie.movie_id: movie for movie in movies}
    vocabulary = fitted.movie_ids.tolist()
    if missing := [movie_id for movie_id in vocabulary if movie_id not in by_id]:
        message = f"{len(missing)} films of the model have no title, the first is {missing[0]}: import the films again"
        raise BrokenArtifact(message)
    _write_bytes(path, orjson.dumps([_document_of(by_id[movie_id]) for movie_id in vocabulary]))
    return FileFacts(sha256_of(path), path.stat().st_size)


def _document_of(movie: Movie) -> dict[str, Any]:
    """Return what an artifact holds of a movie: no overview, and neither labels nor runtime where it has none."""
    document: dict[str, Any] = {name: getattr(movie, name) for name in MOVIE_FIELDS}
    if movie.labels:
        document["labels"] = label_document(movie.labels)
    if movie.runtime_minutes is not None:
        document["runtime_minutes"] = movie.runtime_minutes
    if not movie.is_available:
        document["is_available"] = False
    return document


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a new file through to the disk."""
    with path.open("xb") as file:
        file.write(content)
        _to_disk(file)


def _to_disk(file: Any) -> None:
    """Wait until an open file's content is on the disk."""
    file.flush()
    os.fsync(file.fileno())
