"""The folder of a version as MLflow knows models: arrays, and around them what makes them answer elsewhere.

Nothing in it is a pickle. It is written without MLflow's own ``save_model``, which needs pandas and runs the model.
"""

import json
import platform
import shutil
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from cineclub.domain.ratings import Movie
from cineclub.domain.recommender import FittedModel

ARRAYS = "artifacts/model"
"""Where the arrays lie inside the folder: the only part of it that cineclub reads again."""

CODE, MODEL_CODE = "code", "portable.py"
BUNDLED = ("__init__.py", "domain", "models", "adapters/__init__.py", "adapters/artifacts")
"""What of cineclub the model runs on, copied beside it, so that it answers where cineclub is not installed."""

PINNED = ("numpy", "orjson")
N_EXAMPLES = 3
# numbers are of any type, because MLflow refuses the whole ones of JSON where it wants others: 4 is as good as 4.0
INPUTS = [
    {"name": "user_id", "type": "string", "required": False},
    {"name": "movie_ids", "type": "array", "items": {"type": "string"}, "required": True},
    {"name": "ratings", "type": "array", "items": {"type": "any"}, "required": True},
    {"name": "top_n", "type": "any", "required": False},
]
OUTPUTS = [
    {"name": "request", "type": "long", "required": True},
    {"name": "user_id", "type": "string", "required": True},
    {"name": "rank", "type": "long", "required": True},
    {"name": "movie_id", "type": "string", "required": True},
    {"name": "title", "type": "string", "required": True},
    {"name": "score", "type": "double", "required": True},
    {"name": "strategy", "type": "string", "required": True},
]


def write_package(folder: Path, fitted: FittedModel, movies: Sequence[Movie]) -> None:
    """Write around the arrays, which lie in ``ARRAYS`` of the folder, what makes them an MLflow model."""
    package = resources.files("cineclub")
    for name in BUNDLED:
        _copy(package.joinpath(name), folder / CODE / "cineclub" / name)
    _copy(package.joinpath(MODEL_CODE), folder / MODEL_CODE)
    example = _example(fitted, movies)
    _write(folder / "input_example.json", example)
    _write(folder / "serving_input_example.json", {"dataframe_split": example})
    (folder / "requirements.txt").write_text("\n".join(_requirements()) + "\n", encoding="utf-8")
    # MLflow reads its own two files as YAML, of which JSON is a part
    _write(folder / "python_env.yaml", _python_environment())
    _write(folder / "MLmodel", _description())


def _copy(source: Traversable, target: Path) -> None:
    """Copy a Python file, or those below a folder."""
    if source.is_dir():
        for inner in source.iterdir():
            if inner.is_dir() or inner.name.endswith(".py"):
                _copy(inner, target / inner.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as original, target.open("xb") as copy:
        shutil.copyfileobj(original, copy)


def _example(fitted: FittedModel, movies: Sequence[Movie]) -> dict[str, Any]:
    """Return a request by somebody who likes the most popular films, as pandas splits a table."""
    external_ids = {movie.movie_id: movie.external_id for movie in movies}
    liked = fitted.movie_ids[fitted.popularity.argsort()[::-1][:N_EXAMPLES]].tolist()
    request = ["somebody", [external_ids[movie_id] for movie_id in liked], [fitted.scale.highest] * len(liked), 10]
    return {"columns": [column["name"] for column in INPUTS], "data": [request]}


def _requirements() -> list[str]:
    """Return what has to be installed beside the folder, in the versions that are installed here."""
    pinned = [f"{name}=={metadata.version(name)}" for name in PINNED]
    return [f"mlflow=={metadata.version('mlflow-skinny')}", *pinned]


def _python_environment() -> dict[str, Any]:
    """Return what MLflow makes an environment of."""
    return {
        "python": platform.python_version(),
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }


def _description() -> dict[str, Any]:
    """Return the head of the model: how it is loaded, what it takes and gives."""
    return {
        "flavors": {
            "python_function": {
                "artifacts": {"model": {"path": ARRAYS, "uri": ARRAYS}},
                "code": CODE,
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.pyfunc.loaders.code_model",
                "model_code_path": MODEL_CODE,
                "python_version": platform.python_version(),
                "streamable": False,
            }
        },
        "mlflow_version": metadata.version("mlflow-skinny"),
        "model_uuid": uuid.uuid4().hex,
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        },
        "signature": {"inputs": json.dumps(INPUTS), "outputs": json.dumps(OUTPUTS), "params": None},
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }


def _write(path: Path, document: Any) -> None:
    """Write a document as JSON."""
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
