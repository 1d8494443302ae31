"""Reading of artifacts: every file is checked against the manifest before it is used."""

import hashlib
import os
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from cineclub.adapters.model_store.manifest import (
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
from cineclub.domain.errors import BrokenArtifact, CineclubError
from cineclub.domain.ratings.labels import labels_in
from cineclub.domain.ratings.log import Movie, SnapshotIdentity
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue

VALUES_AT_ONCE = 1 << 22


def read_artifact(folder: Path, expected_manifest_sha256: str) -> tuple[FittedModel, dict[int, Movie]]:
    """Return the model of a folder, its arrays mapped read-only, with its movies by internal id.

    Raises:
        BrokenArtifact: a file is missing, damaged or not the promoted one; the message names it and the fault.
    """
    try:
        return _read(folder, _checked_manifest(folder, expected_manifest_sha256))
    except BrokenArtifact as error:
        message = f"the artifact {folder} is not usable: {error}"
        raise BrokenArtifact(message) from error
    except (OSError, ValueError, KeyError, TypeError, CineclubError) as error:
        message = f"the artifact {folder} is not usable: {type(error).__name__}: {error}"
        raise BrokenArtifact(message) from error


def read_snapshot_identity(folder: Path, expected_manifest_sha256: str) -> SnapshotIdentity:
    """Return the identity of the ratings that the model of a folder was fitted on.

    Raises:
        BrokenArtifact: the manifest is missing or not the promoted one.
    """
    return _checked_manifest(folder, expected_manifest_sha256).snapshot


def _checked_manifest(folder: Path, expected_sha256: str) -> Manifest:
    """Return the manifest of a folder; BrokenArtifact unless it has the expected hash."""
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        message = f"{MANIFEST} cannot be opened ({os.strerror(error.errno or 0)})"
        raise BrokenArtifact(message) from error
    actual = hashlib.sha256(text).hexdigest()
    if actual != expected_sha256:
        message = f"{MANIFEST} has the SHA-256 {actual[:12]}…, {expected_sha256[:12]}… was recorded"
        raise BrokenArtifact(message)
    return Manifest.from_bytes(text)


def _read(folder: Path, manifest: Manifest) -> tuple[FittedModel, dict[int, Movie]]:
    """Return model and movies of the listed files, each checked first."""
    for name in (MOVIE_IDS, POPULARITY, MOVIES):
        if name not in manifest.files:
            message = f"{MANIFEST} lists no {name}"
            raise BrokenArtifact(message)
    arrays = {name: _array(folder / name, facts) for name, facts in manifest.files.items() if name.endswith(".npy")}
    movie_ids = _vocabulary(arrays.pop(MOVIE_IDS))
    arrays.pop(SAMPLE_SCORES, None)
    popularity = _popularity(arrays.pop(POPULARITY), len(movie_ids))
    movies = _movies(folder / MOVIES, manifest.files[MOVIES], movie_ids)
    model_arrays = {name.removeprefix(MODEL_PREFIX).removesuffix(".npy"): array for name, array in arrays.items()}
    return catalogue.restore(manifest.recipe, model_arrays, movie_ids, popularity, manifest.scale), movies


def _check_bytes(path: Path, facts: FileFacts) -> None:
    """Raise BrokenArtifact for a file that differs from the written one."""
    if not path.is_file():
        message = f"{path.name} is missing"
        raise BrokenArtifact(message)
    if path.stat().st_size != facts.n_bytes:
        message = f"{path.name} has {path.stat().st_size} bytes, {facts.n_bytes} were written"
        raise BrokenArtifact(message)
    if sha256_of(path) != facts.sha256:
        message = f"{path.name} was changed after it was written (its SHA-256 differs)"
        raise BrokenArtifact(message)


def _array(path: Path, facts: FileFacts) -> NDArray[np.generic]:
    """Return a checked array, mapped read-only."""
    _check_bytes(path, facts)
    # a plain array over the map: numpy's own class for maps makes every row access several times slower
    array: NDArray[np.generic] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if array.shape != facts.shape or array.dtype.str != facts.dtype:
        message = f"{path.name} is {array.dtype.str}{array.shape}, the manifest says {facts.dtype}{facts.shape}"
        raise BrokenArtifact(message)
    if array.dtype.kind == "f" and not _is_finite(array):
        message = f"{path.name} holds values that are not finite"
        raise BrokenArtifact(message)
    return array


def _is_finite(array: NDArray[np.generic]) -> bool:
    """Return whether every value is finite, read in pieces: a mapped array may be larger than memory."""
    flat = array.reshape(-1, order="A")
    pieces = (flat[start : start + VALUES_AT_ONCE] for start in range(0, flat.size, VALUES_AT_ONCE))
    return all(bool(np.isfinite(piece).all()) for piece in pieces)


def _vocabulary(movie_ids: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the movie ids if they are a vocabulary: one dimension, int64, ascending."""
    if movie_ids.ndim != 1 or movie_ids.dtype != np.int64 or not (np.diff(movie_ids) > 0).all():
        message = f"{MOVIE_IDS} must hold ascending int64 film ids"
        raise BrokenArtifact(message)
    return movie_ids.astype(np.int64, copy=False)


def _popularity(popularity: NDArray[np.generic], n_movies: int) -> NDArray[np.float32]:
    """Return the popularity if it has a value for each movie."""
    if popularity.shape != (n_movies,) or popularity.dtype != np.float32:
        message = f"{POPULARITY} must hold {n_movies} float32 values, one for each film"
        raise BrokenArtifact(message)
    return popularity.astype(np.float32, copy=False)


def _movies(path: Path, facts: FileFacts, movie_ids: NDArray[np.int64]) -> dict[int, Movie]:
    """Return the movies by id, in the order of the vocabulary; BrokenArtifact if some are missing."""
    _check_bytes(path, facts)
    rows = orjson.loads(path.read_bytes())[::-1]
    combinations: dict[tuple[str, ...], tuple[str, ...]] = {}  # of genres, shared by movies
    movies = []
    while rows:  # each row is freed once it is read: every process that serves has all movies in memory
        fields = rows.pop()
        genres = tuple(fields["genres"])
        lists = {"genres": combinations.setdefault(genres, genres), "labels": labels_in(fields.get("labels"))}
        movies.append(Movie(**(fields | lists)))
    if [movie.movie_id for movie in movies] != movie_ids.tolist():
        message = f"{path.name} has the texts of {len(movies)} films, the vocabulary has {len(movie_ids)}"
        raise BrokenArtifact(message)
    return {movie.movie_id: movie for movie in movies}
