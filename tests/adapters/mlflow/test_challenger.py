"""The challenger's local copy for the shadow; probation's rollback is conditional on what serves."""

import uuid
from dataclasses import replace

import pytest

from cineclub.adapters.model_store import read_artifact
from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.domain.errors import BrokenArtifact, Conflict
from cineclub.domain.promotion.records import NewPromotion, Promotion
from cineclub.domain.promotion.rollback import ROLLBACK
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.promotion.registration import RegistrationFlow
from registry_bench import RECORD, Bench, promotion_flow
from small_models import fitted_model, movies_of


def shadowing(bench: Bench) -> PromotionFlow:
    """Return the promotion flow of a worker that compares challengers."""
    return promotion_flow(bench.database_url, bench.home, keeps_challenger=True)


class EarlierHistory(PostgresPromotions):
    """The promotion history as an earlier read returned it."""

    def __init__(self, database_url: str, seen: list[Promotion]) -> None:
        """Take the promotions to return, newest first."""
        super().__init__(database_url)
        self._seen = seen

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:  # noqa: ARG002 - the port's names
        """Return the earlier promotions."""
        return self._seen


def late(bench: Bench, seen: list[Promotion]) -> PromotionFlow:
    """Return the promotion flow of a process whose view of the history is out of date."""
    history = EarlierHistory(bench.database_url, seen)
    return PromotionFlow(RegistrationFlow(bench.registry, bench.versions.store, history))


def held(bench: Bench, seed: int) -> RegisteredVersion:
    """Return a version that the gate has held."""
    fitted = fitted_model(seed=seed)
    record = replace(RECORD, tags={**RECORD.tags, "verdict": "HOLD", "role": "challenger"})
    return bench.versions.register(str(uuid.uuid4()), fitted, movies_of(fitted), record)


def test_the_challenger_is_brought_home_and_kept(bench: Bench) -> None:
    """The worker's next reconciliation fetches and keeps the challenger; without the setting nothing is fetched."""
    bench.promoted(seed=0)
    challenger = held(bench, seed=1)
    folder = bench.home / "models" / challenger.copy_name
    bench.promotion.reconcile()
    assert not folder.exists()
    promotion = shadowing(bench)
    promotion.reconcile()
    read_artifact(folder, challenger.manifest_sha256)
    promotion.follow()
    assert folder.is_dir()


def test_a_broken_challenger_is_refused_once(bench: Bench) -> None:
    """The refusal is recorded, and the version is not fetched again every few seconds."""
    bench.promoted(seed=0)
    challenger = held(bench, seed=1)
    (bench.files_of(challenger) / "manifest.json").write_text("{}")
    promotion = shadowing(bench)
    for _ in range(3):
        promotion.reconcile()
    [refusal] = bench.promotions.refusals(10)
    assert (refusal.version, refusal.asked_by) == (challenger.version, "gate")
    assert "in the shadow" in refusal.reason


def test_a_rollback_by_probation_that_cannot_be_made_is_on_record_once(bench: Bench) -> None:
    """A failed rollback by probation is recorded once, with who requested it."""
    former = bench.promoted(seed=0)
    bench.promoted(seed=1)
    watched = bench.promotions.recent(1)[0]
    (bench.files_of(former) / "manifest.json").write_text("{}")
    (bench.home / "models" / former.copy_name / "manifest.json").write_text("{}")
    for _ in range(3):
        with pytest.raises(Conflict, match="cannot be served") as refused:
            bench.promotion.end_probation(watched.promotion_id, "probation: worse")
        assert isinstance(refused.value.__cause__, BrokenArtifact)
    assert [refusal.asked_by for refusal in bench.promotions.refusals(10)] == ["probation"]


def test_probation_rolls_back_only_from_what_it_watched(bench: Bench) -> None:
    """If another version serves once the copy is checked, nothing changes."""
    bench.promoted(seed=0)
    bench.promoted(seed=1)
    seen = bench.promotions.recent(10)
    since = bench.promoted(seed=2)
    with pytest.raises(Conflict, match="that decision stands"):
        late(bench, seen).end_probation(seen[0].promotion_id, "probation: worse")
    newest = bench.promotions.newest()
    assert newest is not None
    assert newest.version == since.version


@pytest.mark.parametrize("again", ["promoted", "rolled back to"])
def test_the_end_of_a_probation_names_the_promotion_that_was_watched(again: str, bench: Bench) -> None:
    """A later promotion of the same version, not under probation, is not undone."""
    bench.promoted(seed=0)
    watched = bench.promoted(seed=1)
    seen = bench.promotions.recent(10)
    bench.promotion.roll_back("by hand")
    if again == "promoted":
        bench.promotion.promote(watched.version, "by hand again")
    else:
        bench.promoted(seed=2)
        bench.promotions.record(NewPromotion.of(watched, ROLLBACK, "by hand again", "person"))
    with pytest.raises(Conflict, match="that decision stands"):
        late(bench, seen).end_probation(seen[0].promotion_id, "probation: worse")
    with pytest.raises(Conflict, match="is not in production any more: nothing was rolled back"):
        bench.promotion.end_probation(seen[0].promotion_id, "probation: worse")
    newest = bench.promotions.newest()
    assert newest is not None
    assert newest.version == watched.version
