"""Artifacts are read back exactly as they were written, or refused."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cineclub.adapters.model_store import (
    adopt_artifact,
    read_artifact,
    read_snapshot_identity,
    verify_artifact,
    write_artifact,
)
from cineclub.adapters.model_store.samples import sample_histories, sample_scores
from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue
from small_models import IDENTITY, fitted_model, movies_of


@dataclass(frozen=True, slots=True)
class Written:
    """An artifact on disk with the model and texts that it was written from."""

    folder: Path
    sha256: str
    fitted: FittedModel
    movies: list[Movie]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return a sound artifact."""
    fitted = fitted_model()
    movies = movies_of(fitted)
    sha256 = write_artifact(tmp_path / "model", fitted, movies, IDENTITY)
    return Written(tmp_path / "model", sha256, fitted, movies)


@pytest.mark.parametrize("name", sorted(catalogue.CATALOGUE))
def test_every_model_comes_back_with_the_same_scores(name: str, tmp_path: Path) -> None:
    """Recipe, scale, vocabulary, texts and every score survive writing and reading."""
    fitted = fitted_model(name)
    sha256 = write_artifact(tmp_path / "model", fitted, movies_of(fitted), IDENTITY)
    read, movies = read_artifact(tmp_path / "model", sha256)
    assert (read.recipe, read.scale) == (fitted.recipe, fitted.scale)
    assert list(movies) == fitted.movie_ids.tolist()
    assert sorted(movies.values(), key=lambda movie: -movie.movie_id) == movies_of(fitted)
    for history in sample_histories(fitted):
        np.testing.assert_array_equal(score_movies(read, history).scores, score_movies(fitted, history).scores)
    assert read_snapshot_identity(tmp_path / "model", sha256) == IDENTITY
    verify_artifact(tmp_path / "model", sha256)


def test_arrays_are_mapped_read_only(written: Written) -> None:
    """The arrays of a served model lie in the page cache and cannot be changed by accident."""
    read, _ = read_artifact(written.folder, written.sha256)
    assert isinstance(read.popularity.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        read.popularity[0] = 1


def test_the_same_model_gives_the_same_hash(written: Written, tmp_path: Path) -> None:
    """The hash depends on the content alone, so a repeated write is recognised."""
    again = write_artifact(tmp_path / "again", written.fitted, list(reversed(written.movies)), IDENTITY)
    assert again == written.sha256
    other = write_artifact(tmp_path / "other", fitted_model(seed=2), written.movies, IDENTITY)
    assert other != written.sha256


def truncate(folder: Path) -> None:
    """Truncate an array."""
    path = folder / "popularity.npy"
    path.write_bytes(path.read_bytes()[:-4])


def change_a_byte(folder: Path) -> None:
    """Flip the last bit of an array."""
    path = folder / "popularity.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def lose_a_file(folder: Path) -> None:
    """Delete the films' texts."""
    (folder / "movies.json").unlink()


def lose_the_manifest(folder: Path) -> None:
    """Delete the manifest."""
    (folder / "manifest.json").unlink()


def change_the_manifest(folder: Path) -> None:
    """Write another recipe into the manifest."""
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"ease"', '"popular"'))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "popularity.npy has .* bytes"),
        (change_a_byte, "popularity.npy was changed"),
        (lose_a_file, "movies.json is missing"),
        (lose_the_manifest, "manifest.json cannot be opened"),
        (change_the_manifest, "manifest.json has the SHA-256"),
    ],
)
def test_damage_is_named_and_nothing_is_read(damage: Callable[[Path], None], reason: str, written: Written) -> None:
    """A damaged folder is refused; the error names the file and the damage."""
    damage(written.folder)
    with pytest.raises(BrokenArtifact, match=reason):
        read_artifact(written.folder, written.sha256)
    with pytest.raises(BrokenArtifact, match=reason):
        verify_artifact(written.folder, written.sha256)


def rewrite(folder: Path, name: str, content: bytes | np.ndarray) -> str:
    """Replace a file together with its facts in the manifest, as a faulty writer would; return the new hash."""
    path = folder / name
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = manifest["files"][name]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=False)
        facts |= {"shape": list(content.shape), "dtype": content.dtype.str}
    facts |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "n_bytes": path.stat().st_size}
    text = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def test_values_that_are_not_finite_are_refused(written: Written) -> None:
    """A NaN is refused on reading, even under the right hash, and on writing."""
    popularity = written.fitted.popularity.copy()
    popularity[3] = np.nan
    sha256 = rewrite(written.folder, "popularity.npy", popularity)
    with pytest.raises(BrokenArtifact, match=r"popularity.npy holds values that are not finite"):
        read_artifact(written.folder, sha256)
    broken = catalogue.restore(
        written.fitted.recipe,
        written.fitted.recommender.arrays(),
        written.fitted.movie_ids,
        popularity,
        written.fitted.scale,
    )
    with pytest.raises(BrokenArtifact, match="not finite"):
        write_artifact(written.folder.parent / "nan", broken, written.movies, IDENTITY)
    assert not (written.folder.parent / "nan").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("popularity.npy", np.ones(5, np.float32)),
        ("popularity.npy", np.ones(12, np.float64)),
        ("movie_ids.npy", np.zeros(12, np.int64)),
        ("movie_ids.npy", np.arange(11, dtype=np.int64)),
        ("movies.json", b"[]"),
        ("movies.json", b"{"),
        ("movies.json", b'[{"movie_id": 5}]'),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(name: str, content: bytes | np.ndarray, written: Written) -> None:
    """A wrong number of films, a wrong type or an unreadable text is refused even under right hashes."""
    sha256 = rewrite(written.folder, name, content)
    with pytest.raises(BrokenArtifact, match="not usable"):
        read_artifact(written.folder, sha256)


def test_a_pickled_array_is_never_loaded(written: Written) -> None:
    """An object array, which would run code when loaded, is refused."""
    path = written.folder / "popularity.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    sha256 = rewrite(written.folder, "popularity.npy", path.read_bytes())
    with pytest.raises(BrokenArtifact, match="not usable"):
        read_artifact(written.folder, sha256)


@pytest.mark.parametrize("name", ["../../secret.npy", "model.py", "model.a/b.npy"])
def test_a_manifest_names_files_of_its_folder_only(name: str, written: Written) -> None:
    """A manifest cannot name a file outside its folder."""
    manifest = json.loads((written.folder / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["popularity.npy"]
    text = json.dumps(manifest).encode()
    (written.folder / "manifest.json").write_bytes(text)
    with pytest.raises(BrokenArtifact, match="no file of an artifact"):
        read_artifact(written.folder, hashlib.sha256(text).hexdigest())


def test_other_scores_than_the_fitted_models_are_found_in_a_fresh_process(written: Written) -> None:
    """An undamaged folder whose model scores differently from the fitted model is not promoted."""
    sha256 = rewrite(written.folder, "sample_scores.npy", sample_scores(written.fitted) + np.float32(1))
    read_artifact(written.folder, sha256)
    with pytest.raises(BrokenArtifact, match="has other sample scores"):
        verify_artifact(written.folder, sha256)


def test_a_movie_without_a_text_is_refused(written: Written) -> None:
    """A film of the vocabulary without a title is refused."""
    with pytest.raises(BrokenArtifact, match="1 films of the model have no title"):
        write_artifact(written.folder.parent / "untitled", written.fitted, written.movies[1:], IDENTITY)


def test_a_download_replaces_a_damaged_copy_and_spares_a_sound_one(written: Written, tmp_path: Path) -> None:
    """Adopting a download checks it, replaces a damaged copy, keeps a sound one, and leaves no half-copied folder."""
    local = tmp_path / "models" / "1-abc"
    for damage in (None, truncate, lose_the_manifest):
        download = shutil.copytree(written.folder, tmp_path / "download")
        if damage is not None:
            damage(local)
        adopt_artifact(download, local, written.sha256)
        read_artifact(local, written.sha256)
        shutil.rmtree(download, ignore_errors=True)
    assert [path.name for path in local.parent.iterdir()] == ["1-abc"]
    truncate(written.folder)
    with pytest.raises(BrokenArtifact):
        adopt_artifact(written.folder, tmp_path / "models" / "2-def", written.sha256)
    assert not (tmp_path / "models" / "2-def").exists()


def test_reading_needs_neither_mlflow_nor_numba() -> None:
    """Reading an artifact imports neither MLflow nor numba, so that the API starts within two seconds."""
    probe = "import sys, cineclub.adapters.model_store; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mlflow", "numba", "scipy", "pandas", "pyarrow", "psycopg", "pydantic"} & set(loaded)
