"""Writing an artifact: all of it appears under its name at once, or none of it."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from cineclub.adapters.artifacts.manifest import (
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
from cineclub.adapters.artifacts.reading import read_artifact
from cineclub.adapters.artifacts.samples import sample_scores
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings import Movie, SnapshotIdentity
from cineclub.domain.recommender import FittedModel


def write_artifact(
    folder: Path, fitted: FittedModel, movies: Sequence[Movie], snapshot_identity: SnapshotIdentity
) -> str:
    """Write a fitted model with its films' texts as ``folder`` and return the SHA-256 of the manifest.

    The bytes, and so the hash, depend on nothing but the arguments. A folder of that name is replaced.

    Raises:
        BrokenArtifact: the model holds values that are not finite, or a film of its vocabulary has no text.
    """
    with _appearing_at_once(folder) as staging:
        files = {name: _write_array(staging / name, array) for name, array in _arrays_of(fitted).items()}
        files[MOVIES] = _write_movies(staging / MOVIES, fitted, movies)
        manifest = Manifest(fitted.recipe, fitted.scale, snapshot_identity, files).to_bytes()
        _write_bytes(staging / MANIFEST, manifest)
    return hashlib.sha256(manifest).hexdigest()


def adopt_artifact(source: Path, folder: Path, expected_manifest_sha256: str) -> None:
    """Move a downloaded artifact to ``folder`` once it is checked; a sound one that is there already stays.

    Raises:
        BrokenArtifact: the source is damaged; ``folder`` is as it was.
    """
    with contextlib.suppress(BrokenArtifact):
        read_artifact(folder, expected_manifest_sha256)
        return
    read_artifact(source, expected_manifest_sha256)
    with _appearing_at_once(folder) as staging:
        for path in source.iterdir():
            moved = Path(shutil.move(path, staging / path.name))
            with moved.open("rb") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _appearing_at_once(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, and move it to its place when everything in it is on the disk."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield staging
        staging.chmod(0o755)
        _directory_to_disk(staging)
        _replace(staging, folder)
        _directory_to_disk(folder.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace(staging: Path, folder: Path) -> None:
    """Give a finished folder its name; one that had it before leaves first, for no rename replaces a full folder."""
    if folder.exists():
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as old:
            folder.rename(Path(old) / "replaced")
    staging.rename(folder)


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
    """Write the films' texts in the order of the vocabulary and return the file's facts."""
    by_id = {movie.movie_id: movie for movie in movies}
    vocabulary = fitted.movie_ids.tolist()
    if missing := [movie_id for movie_id in vocabulary if movie_id not in by_id]:
        message = f"{len(missing)} films of the model have no title, the first is {missing[0]}: import the films again"
        raise BrokenArtifact(message)
    _write_bytes(path, orjson.dumps([by_id[movie_id] for movie_id in vocabulary]))
    return FileFacts(sha256_of(path), path.stat().st_size)


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a new file through to the disk."""
    with path.open("xb") as file:
        file.write(content)
        _to_disk(file)


def _to_disk(file: Any) -> None:
    """Wait until an open file's content is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _directory_to_disk(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
