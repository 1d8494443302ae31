"""A registered version is an MLflow model that predicts in a process without cineclub."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.packaging import ARRAYS, write_package
from cineclub.adapters.model_store import write_artifact
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.models.catalogue import CATALOGUE
from registry_bench import Bench
from small_models import IDENTITY, fitted_model, movies_of

EXAMPLE = {"user_id": "ann", "movie_ids": ["x5", "unknown", "x8", "x11"], "ratings": [5, 3, 1.5, 4], "top_n": 4}
ELSEWHERE = """
import json, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("scipy", "numba", "pyarrow"):
            raise ImportError(name)
sys.meta_path.insert(0, Block())
try:
    import cineclub
except ImportError:
    pass
else:
    sys.exit("cineclub is installed here")
import mlflow, pandas
answers = []
for uri in json.loads(sys.argv[1]):
    model = mlflow.pyfunc.load_model(uri)
    answers.append({
        "code": sys.modules["cineclub"].__file__,
        "rows": model.predict(pandas.DataFrame(json.loads(sys.argv[2]))).to_dict("records"),
        "inputs": model.metadata.get_input_schema().input_names(),
        "outputs": model.metadata.get_output_schema().input_names(),
        "n_of_example": len(model.predict(model.input_example)),
    })
print(json.dumps(answers))
"""


def environment(**more: str) -> dict[str, str]:
    """The environment of a process with the installed libraries and without cineclub."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **quiet, **more}


def loaded_elsewhere(uris: list[str], folder: Path, *requests: dict[str, Any], **more: str) -> list[dict[str, Any]]:
    """Return the output of a fresh process that loads models without cineclub (without site, no editable install)."""
    command = [sys.executable, "-S", "-c", ELSEWHERE, json.dumps(uris), json.dumps(requests)]
    names = environment(PYTHONPATH=sysconfig.get_paths()["purelib"], **more)
    done = subprocess.run(command, cwd=folder, env=names, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder of a version as it is registered."""
    return packaged(tmp_path / "version", "ease")


def packaged(folder: Path, name: str) -> Path:
    """Write a small model as it is registered."""
    fitted = fitted_model(name)
    write_artifact(folder / ARRAYS, fitted, movies_of(fitted), IDENTITY)
    write_package(folder, fitted, movies_of(fitted))
    return folder


def test_production_predicts_by_its_alias_where_cineclub_is_not_installed(bench: Bench, tmp_path: Path) -> None:
    """The bundled code returns the films of the fitted model, in its order, with its scores."""
    bench.promoted()
    store = store_uri(bench.database_url)
    (loaded,) = loaded_elsewhere(["models:/cineclub@production"], tmp_path, EXAMPLE, MLFLOW_TRACKING_URI=store)
    assert loaded["code"].endswith("/code/cineclub/__init__.py")
    assert loaded["inputs"] == ["user_id", "movie_ids", "ratings", "top_n"]
    assert loaded["outputs"] == list(loaded["rows"][0])
    served = bench.versions.load(bench.versions.production().version)
    expected = expected_rows(served, EXAMPLE)
    assert [(row["rank"], row["movie_id"], row["title"]) for row in loaded["rows"]] == expected
    assert {row["user_id"] for row in loaded["rows"]} == {"ann"}


def expected_rows(fitted: Any, request: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Return rank, id and title of the recommendations of a fitted model."""
    given = zip(request["movie_ids"], request["ratings"], strict=True)
    rated = [(int(name[1:]), rating) for name, rating in given if name != "unknown"]
    history = UserRatings(
        np.array([movie for movie, _ in rated]),
        np.array([rating for _, rating in rated], np.float32),
        np.arange(len(rated)) * 1_000_000,
    )
    scored = score_movies(fitted, history)
    ranked = fitted.movie_ids[rank_movies(scored.scores, scored.history.movie_indices, request["top_n"])].tolist()
    return [(rank, f"x{movie}", f"Amélie {movie}") for rank, movie in enumerate(ranked, start=1)]


def test_every_model_predicts_elsewhere(tmp_path: Path) -> None:
    """Every model predicts without scipy and numba; a user without known films gets popular films or the model's."""
    folders = [str(packaged(tmp_path / name, name)) for name in CATALOGUE]
    nobody = {"movie_ids": ["unknown"], "ratings": [3], "top_n": None}
    for name, loaded in zip(CATALOGUE, loaded_elsewhere(folders, tmp_path, EXAMPLE, nobody), strict=True):
        assert [row["movie_id"] for row in loaded["rows"] if row["request"] == 0] == [
            external_id for _, external_id, _ in expected_rows(fitted_model(name), EXAMPLE)
        ]
        assert sum(row["request"] == 1 for row in loaded["rows"]) == 10
        assert loaded["n_of_example"] == 9


def test_there_is_no_pickle_in_a_version(package: Path) -> None:
    """A version holds arrays, JSON, YAML, text and Python source, and no pickle."""
    kinds = {path.suffix or path.name for path in package.rglob("*") if path.is_file()}
    assert kinds == {".npy", ".json", ".yaml", ".txt", ".py", "MLmodel"}
    text = (package / "requirements.txt").read_text()
    assert {line.partition("==")[0] for line in text.splitlines()} == {"mlflow", "numpy", "orjson"}
    assert "index" not in text


def test_the_registry_brings_home_arrays_and_no_code(bench: Bench) -> None:
    """The local copy holds the manifest and the files that it lists."""
    version = bench.promoted()
    copy = bench.home / "models" / f"{version.version}-{version.manifest_sha256[:12]}"
    assert not [path.name for path in copy.rglob("*") if path.suffix not in {".npy", ".json"}]
    assert (bench.files_of(version).parents[1] / "MLmodel").is_file()


@contextlib.contextmanager
def model_server(folder: Path) -> Iterator[str]:
    """Serve a folder with MLflow's own server, and yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["-m", str(folder), "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    with (folder.parent / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment(), cwd=folder.parent, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while not is_responding(port):
            assert server.poll() is None, (folder.parent / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def is_responding(port: int) -> bool:
    """Return whether MLflow's server responds."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ping", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def posted(address: str, document: Any) -> tuple[int, dict[str, Any]]:
    """Send JSON, and return status and document of the response."""
    response = httpx.post(address, json=document, timeout=30)
    return response.status_code, response.json()


def test_mlflow_models_serve_responds_to_invocations(package: Path) -> None:
    """Integer ratings are accepted, missing fields have defaults, and an invalid request gets an explanation."""
    with model_server(package) as address:
        status, document = posted(address, {"dataframe_records": [EXAMPLE, {"movie_ids": ["x5"], "ratings": [4]}]})
        assert status == 200
        rows = document["predictions"]
        assert [row["movie_id"] for row in rows if row["request"] == 0] == [
            name for _, name, _ in expected_rows(fitted_model(), EXAMPLE)
        ]
        assert {row["user_id"] for row in rows if row["request"] == 1} == {""}
        assert posted(address, json.loads((package / "serving_input_example.json").read_text()))[0] == 200
        for wrong, expected in (
            ({"ratings": [9, 1, 1, 1]}, "between 0.5 and 5"),
            ({"ratings": [4]}, "one rating for each film"),
            ({"ratings": ["good", 1, 1, 1]}, "not a number"),
            ({"top_n": 0}, "1 to 100"),
        ):
            status, document = posted(address, {"dataframe_records": [EXAMPLE | wrong]})
            assert status == 400
            assert expected in document["message"]
