"""The files beside a version's arrays that make the folder an MLflow model, which runs without cineclub.

It has no pickles. MLflow's own ``save_model`` is not used, because it needs pandas and runs the model.
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

from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.recommender import FittedModel

ARRAYS = "artifacts/model"
"""The place of the arrays inside the folder: the only part of it that cineclub reads again."""

CODE, MODEL_CODE = "code", "portable.py"
BUNDLED = (
    *("__init__.py", "domain", "models", "adapters/__init__.py", "adapters/model_store"),
    *("runtime/__init__.py", "runtime/unfinished.py"),
)
"""The parts of cineclub that the model needs; copied, so that it runs where cineclub is not installed."""

PINNED = ("numpy", "orjson")
N_EXAMPLES = 3
# numbers have the type any, because MLflow rejects JSON's 4 for a double
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
    """Write the files of an MLflow model into a folder; the arrays belong in ``ARRAYS``."""
    package = resources.files("cineclub")
    for name in BUNDLED:
        _copy(package.joinpath(name), folder / CODE / "cineclub" / name)
    _copy(package.joinpath(MODEL_CODE), folder / MODEL_CODE)
    example = _example(fitted, movies)
    _write(folder / "input_example.json", example)
    _write(folder / "serving_input_example.json", {"dataframe_split": example})
    pinned = [f"{name}=={metadata.version(name)}" for name in PINNED]
    requirements = [f"mlflow=={metadata.version('mlflow-skinny')}", *pinned]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    # MLflow reads its own two files as YAML, of which JSON is a part
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    _write(folder / "python_env.yaml", environment)
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
    """Return a request of a user who likes the most popular movies, in pandas' format ``split``."""
    external_ids = {movie.movie_id: movie.external_id for movie in movies}
    liked = fitted.movie_ids[fitted.popularity.argsort()[::-1][:N_EXAMPLES]].tolist()
    request = ["somebody", [external_ids[movie_id] for movie_id in liked], [fitted.scale.highest] * len(liked), 10]
    return {"columns": [column["name"] for column in INPUTS], "data": [request]}


def _description() -> dict[str, Any]:
    """Return the content of ``MLmodel``: loader, inputs and outputs."""
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
