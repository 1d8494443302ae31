"""The challenger has its copy here where it is asked in the shadow; a rollback by probation is fenced."""

import uuid
from dataclasses import replace

import pytest

from cineclub.adapters import artifacts
from cineclub.adapters.artifacts import read_artifact
from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.domain.errors import BrokenArtifact, Conflict
from cineclub.flows.promoting import end_probation
from cineclub.ports import Compared, Promotion, RegisteredVersion
from registry_bench import RECORD, Bench
from small_models import fitted_model, movies_of


def shadowing(bench: Bench) -> MlflowRegistry:
    """Return the registry as a worker has it where a challenger is asked."""
    return MlflowRegistry(store_uri(bench.database_url), bench.home, artifacts, bench.promotions, keeps_challenger=True)


def held(bench: Bench, seed: int) -> RegisteredVersion:
    """Return a version that the gate has held."""
    fitted = fitted_model(seed=seed)
    record = replace(RECORD, tags={**RECORD.tags, "verdict": "HOLD", "role": "challenger"})
    return bench.registry.register(str(uuid.uuid4()), fitted, movies_of(fitted), record)


def test_the_challenger_is_brought_home_and_kept(bench: Bench) -> None:
    """By the worker's next look, and not deleted with the old copies; without the setting nothing is fetched."""
    bench.promoted(seed=0)
    challenger = held(bench, seed=1)
    folder = bench.home / "models" / challenger.copy_name
    bench.registry.reconcile()
    assert not folder.exists()
    registry = shadowing(bench)
    registry.reconcile()
    read_artifact(folder, challenger.manifest_sha256)
    registry.follow_promotion()
    assert folder.is_dir()


def test_a_broken_challenger_is_refused_once(bench: Bench) -> None:
    """It is on record, and not fetched again every few seconds."""
    bench.promoted(seed=0)
    challenger = held(bench, seed=1)
    (bench.files_of(challenger) / "manifest.json").write_text("{}")
    registry = shadowing(bench)
    for _ in range(3):
        registry.reconcile()
    [refusal] = bench.promotions.versions.refusals(10)
    assert (refusal.version, refusal.asked_by) == (challenger.version, "gate")
    assert "in the shadow" in refusal.reason


def test_a_rollback_by_probation_that_cannot_be_made_is_on_record_once(bench: Bench) -> None:
    """However often it is tried, and who asked is said."""
    former, serving = bench.promoted(seed=0), bench.promoted(seed=1)
    (bench.files_of(former) / "manifest.json").write_text("{}")
    (bench.home / "models" / former.copy_name / "manifest.json").write_text("{}")
    compared = Compared((serving.version, serving.manifest_sha256))
    for _ in range(3):
        with pytest.raises(BrokenArtifact):
            bench.registry.roll_back(former.version, "probation: worse", "probation", compared)
    assert [one.asked_by for one in bench.promotions.versions.refusals(10)] == ["probation"]


def test_probation_rolls_back_only_from_what_it_watched(bench: Bench) -> None:
    """Where something else serves by the time the copy is checked, nothing changes."""
    former, watched = bench.promoted(seed=0), bench.promoted(seed=1)
    since = bench.promoted(seed=2)
    compared = Compared((watched.version, watched.manifest_sha256))
    with pytest.raises(Conflict, match="that decision stands"):
        bench.registry.roll_back(former.version, "probation: worse", "probation", compared)
    newest = bench.promotions.newest()
    assert newest is not None
    assert newest.version == since.version


def test_probation_does_not_roll_back_a_version_that_was_promoted_anew(bench: Bench) -> None:
    """The same version serves again by a later promotion, which nobody has watched yet."""
    former, watched = bench.promoted(seed=0), bench.promoted(seed=1)
    first = bench.promotions.newest()
    assert first is not None
    bench.registry.roll_back(former.version, "by hand", "person")
    bench.registry.roll_back(watched.version, "by hand again", "person")
    compared = Compared((watched.version, watched.manifest_sha256), first.promotion_id)
    with pytest.raises(Conflict, match="that decision stands"):
        bench.registry.roll_back(former.version, "probation: worse", "probation", compared)
    newest = bench.promotions.newest()
    assert newest is not None
    assert newest.version == watched.version


def test_the_end_of_a_probation_names_the_promotion_that_was_watched(bench: Bench) -> None:
    """A promotion of the same version that comes between the look and the rollback is not undone."""
    former, watched = bench.promoted(seed=0), bench.promoted(seed=1)
    seen = bench.promotions.recent(10)

    class Earlier:
        """The history as it was when the look was made."""

        def recent(self, _limit: int) -> list[Promotion]:
            """Return what was seen."""
            return seen

        def newest(self) -> Promotion | None:
            """Return what serves now."""
            return bench.promotions.newest()

    bench.registry.roll_back(former.version, "by hand", "person")
    bench.registry.roll_back(watched.version, "by hand again", "person")
    with pytest.raises(Conflict, match="that decision stands"):
        end_probation(bench.registry, Earlier(), seen[0].promotion_id, "probation: worse")
