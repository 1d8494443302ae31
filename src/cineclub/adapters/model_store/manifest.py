"""The manifest of an artifact: its files, with size, hash, shape and dtype of each."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.log import RatingScale, SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

FORMAT = 1
MANIFEST = "manifest.json"
MOVIES = "movies.json"
MOVIE_IDS = "movie_ids.npy"
POPULARITY = "popularity.npy"
SAMPLE_SCORES = "sample_scores.npy"
MODEL_PREFIX = "model."
ARRAY_NAME = re.compile(r"[A-Za-z0-9_]+")
FILE_NAME = re.compile(r"movies\.json|(movie_ids|popularity|sample_scores|model\.[A-Za-z0-9_]+)\.npy")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts of a file that must hold; ``shape`` and ``dtype`` (as numpy writes it, ``<f4``) for arrays only."""

    sha256: str
    n_bytes: int
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The head of an artifact."""

    recipe: Recipe
    scale: RatingScale
    snapshot: SnapshotIdentity
    files: dict[str, FileFacts]

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON: the same manifest always gives the same bytes."""
        newest = self.snapshot.newest_rated_at
        document = {
            "format": FORMAT,
            "recipe": {"model": self.recipe.model, "hyperparameters": dict(self.recipe.hyperparameters)},
            "scale": {"lowest": self.scale.lowest, "highest": self.scale.highest},
            "snapshot": {
                "n_ratings": self.snapshot.n_ratings,
                "newest_rated_at": newest.isoformat() if newest else None,
                "content_sha256": self.snapshot.content_sha256,
            },
            "files": {name: _file_document(facts) for name, facts in self.files.items()},
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_bytes(cls, text: bytes) -> "Manifest":
        """Return the manifest that ``to_bytes`` wrote.

        Raises:
            BrokenArtifact: the text is no manifest, of another format, or names an unknown file.
        """
        try:
            return cls._from_document(orjson.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"{MANIFEST} cannot be read ({error}): train again or roll back to another version"
            raise BrokenArtifact(message) from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> "Manifest":
        """Return the manifest of a JSON document."""
        if document["format"] != FORMAT:
            message = f"the artifact has format {document['format']}, this version of cineclub reads {FORMAT}"
            raise BrokenArtifact(message)
        if strange := [name for name in document["files"] if not FILE_NAME.fullmatch(name)]:
            message = f"{MANIFEST} names {strange[0]!r}, which is no file of an artifact"
            raise BrokenArtifact(message)
        snapshot = document["snapshot"]
        newest = snapshot["newest_rated_at"]
        return cls(
            recipe=Recipe(document["recipe"]["model"], document["recipe"]["hyperparameters"]),
            scale=RatingScale(document["scale"]["lowest"], document["scale"]["highest"]),
            snapshot=SnapshotIdentity(
                snapshot["n_ratings"], datetime.fromisoformat(newest) if newest else None, snapshot["content_sha256"]
            ),
            files={name: _file_facts(facts) for name, facts in document["files"].items()},
        )


def _file_document(facts: FileFacts) -> dict[str, Any]:
    """Return a file's facts in JSON's terms."""
    document: dict[str, Any] = {"sha256": facts.sha256, "n_bytes": facts.n_bytes}
    if facts.shape is not None:
        document |= {"shape": list(facts.shape), "dtype": facts.dtype}
    return document


def _file_facts(document: dict[str, Any]) -> FileFacts:
    """Return the facts of a file's document."""
    shape = document.get("shape")
    return FileFacts(
        document["sha256"], document["n_bytes"], None if shape is None else tuple(shape), document.get("dtype")
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
