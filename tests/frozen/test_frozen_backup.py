"""A backup that 293aa4c wrote is restored into the embedded PostgreSQL, and commands and a training find it all there.

Ids, moments, durations and memory of what is new are not compared, nor is the sentence by which a verdict is explained.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from differences import Difference, assert_only_changed_on_purpose, differences
from frozen_service import DATA, Place, open_folder, serving

OF_ONE_RUN = {
    *("training_id", "code_version", "started_at", "production_age_days", "reason"),
    *("step_seconds", "fit_seconds", "answer_seconds", "peak_memory_bytes"),
}
BY_CHANCE = {"recommendation_id"}
REPRODUCIBLE, OF_AN_ERASED_USER = 10, 1
IMPOSSIBLE = 4


@dataclass(frozen=True, slots=True)
class Restored:
    """Where the backup was restored, and what commands printed there before anything changed."""

    place: Place
    printed: dict[str, Any]


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    """What the commands of 293aa4c printed, by command."""
    return dict(json.loads((DATA / "documents.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def restored(frozen: dict[str, Any]) -> Iterator[Restored]:
    """The backup in a new home; PostgreSQL stays up meanwhile."""
    with open_folder() as folder:
        place = Place(folder / "home")
        place.run("restore", str(DATA / "state.tar.xz"))
        with serving(place):
            printed = {command: _printed(place, command.split()) for command in frozen if command != "export"}
            place.run("export", str(folder / "export"))
            yield Restored(place, printed | {"export": _hashes(folder / "export")})


def _printed(place: Place, command: list[str]) -> Any:
    """Return what a command prints, as a document where it is one."""
    text = place.run(*command)
    return json.loads(text) if "--json" in command else text


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_commands_print_what_they_printed(restored: Restored, frozen: dict[str, Any]) -> None:
    """Versions, history, refusals, drift checks, keys, recommendations and the exported ratings are the same."""
    assert_only_changed_on_purpose("documents", [*differences("documents", frozen, restored.printed, BY_CHANCE)])


def test_state_folder_keeps_its_layout(restored: Restored) -> None:
    """Artifacts, local copies, snapshots and the embedded PostgreSQL lie where they lay."""
    home = restored.place.home
    assert {"artifacts", "models", "postgres", "snapshots"} <= {path.name for path in home.iterdir()}
    assert list(home.glob("models/6-*/manifest.json"))
    assert list(home.glob("snapshots/*/ratings.parquet"))


def test_an_old_version_is_fitted_again_byte_for_byte(restored: Restored) -> None:
    """Its snapshot, recipe and seed are found; the version that an erased user was in cannot be fitted again."""
    assert restored.place.document("reproduce", str(REPRODUCIBLE))["outcome"] == "equal"
    impossible = restored.place.run("reproduce", str(OF_AN_ERASED_USER), "--json", status=IMPOSSIBLE)
    assert json.loads(impossible)["outcome"] == "impossible"


def test_a_training_reports_what_it_reported(restored: Restored) -> None:
    """The same ratings, settings and seed give the same scoreboards, intervals, verdict and version."""
    frozen = json.loads((DATA / "report.json").read_text("utf-8"))
    models = ",".join(frozen["plan"]["models"])
    actual: list[Difference] = [
        *differences("report", frozen, restored.place.document("train", "--models", models), OF_ONE_RUN)
    ]
    assert_only_changed_on_purpose("report", actual)
