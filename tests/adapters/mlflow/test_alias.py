"""MLflow's alias follows the promotions; a move that somebody made outside is served, or refused and on record."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from mlflow.exceptions import MlflowException

from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.domain.errors import NotFound, RegistryUnavailable
from cineclub.ports import NewPromotion, RegisteredVersion
from registry_bench import Bench, assert_serves


def fail_to_move(_version: int) -> None:
    """Stand in for a store that goes away at the moment of the move."""
    message = "the MLflow store does not answer"
    raise RegistryUnavailable(message)


def test_nothing_to_reconcile(bench: Bench) -> None:
    """Before the first promotion and while all agree nothing is done."""
    assert bench.registry.reconcile() is None
    version = bench.promoted()
    assert bench.registry.reconcile() is None
    assert_serves(bench, version)
    assert len(bench.promotions.recent(5)) == 1


def test_an_alias_that_moved_alone_is_followed(bench: Bench) -> None:
    """A crash before the commit, or a person in MLflow, moved the alias: what it names serves, if it is sound."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    assert "is served now" in (bench.registry.reconcile() or "")
    assert_serves(bench, second)
    promotion = bench.promotions.recent(1)[0]
    assert (promotion.promoted_by, promotion.previous_version) == ("outside", first.version)
    assert bench.registry.reconcile() is None


def test_a_promotion_that_was_recorded_by_another_is_not_recorded_twice(bench: Bench) -> None:
    """A training run again after its promotion was seen from outside adds no row."""
    version = bench.promoted()
    bench.registry.promote(bench.training_id, version, "PROMOTE", "it is better", bench.registry.production())
    assert_serves(bench, version)
    assert len(bench.promotions.recent(5)) == 1


@pytest.mark.parametrize("fault", ["damaged", "foreign", "deleted"])
def test_an_alias_on_what_cannot_serve_goes_back(fault: str, bench: Bench) -> None:
    """The alias never stays on something that nobody can load."""
    served = bench.promoted()
    if fault == "deleted":
        number = served.version
        bench.client.delete_registered_model_alias("cineclub", "production")
    else:
        number = bench.registered(seed=1).version
        if fault == "damaged":
            found = bench.client.get_model_version("cineclub", str(number))
            shutil.rmtree(found.source.removeprefix("file://"))
        else:
            number = bench.client.create_model_version("cineclub", str(bench.home), None).version
        bench.client.set_registered_model_alias("cineclub", "production", str(number))
    assert f"it names version {served.version} now" in (bench.registry.reconcile() or "")
    assert_serves(bench, served)
    assert len(bench.promotions.recent(5)) == 1
    refused = [(refusal.version, refusal.asked_by) for refusal in bench.promotions.versions.refusals(5)]
    assert refused == ([] if fault == "deleted" else [(int(number), "outside")])


def test_an_alias_on_what_cannot_serve_is_taken_away_where_nothing_serves(bench: Bench) -> None:
    """Before the first promotion there is nothing to go back to."""
    foreign = bench.client.create_model_version("cineclub", str(bench.home), None)
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    assert "nothing is in production" in (bench.registry.reconcile() or "")
    assert bench.registry.production() is None


def test_a_promotion_whose_alias_did_not_move_stands(
    bench: Bench, open_registry: Callable[[str], MlflowRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash or an outage after the commit loses no verdict: the next look moves the alias and adds no row."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    monkeypatch.setattr(bench.registry, "_move_alias", fail_to_move)
    bench.registry.promote(bench.training_id, second, "PROMOTE", "it is better", bench.registry.production())
    assert bench.registry.aliased() == first
    assert "it names version 2 now" in (open_registry("another").reconcile() or "")
    assert_serves(bench, second)
    assert [one.verdict for one in bench.promotions.recent(5)] == ["PROMOTE", "PROMOTE"]


@pytest.mark.parametrize("moved", ["before the move", "after the move"])
def test_a_crash_in_the_middle_of_a_move_is_not_taken_for_somebody_else(
    moved: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the alias had moved or not, the promotion after the crash stands and nothing is recorded as outside."""
    bench.promoted()
    second = bench.registered(seed=1)
    bench.promotions.alias.is_moving(second.version)
    if moved == "after the move":
        bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    third = bench.registered(seed=2)
    monkeypatch.setattr(bench.registry, "follow_promotion", lambda: None)
    bench.registry.promote(bench.training_id, third, "PROMOTE", "it is better", bench.registry.production())
    bench.registry.reconcile()
    assert_serves(bench, third)
    assert [one.promoted_by for one in bench.promotions.recent(5)] == ["gate", "gate"]


def test_an_alias_moved_back_to_an_earlier_version_is_served_as_outside(bench: Bench) -> None:
    """A rollback in MLflow's own page is one: it is recorded with who did it and what served before."""
    first = bench.promoted()
    bench.promoted(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(first.version))
    bench.registry.reconcile()
    assert_serves(bench, first)
    newest = bench.promotions.recent(1)[0]
    assert (newest.verdict, newest.promoted_by, newest.training_id) == ("OUTSIDE", "outside", None)
    assert "version 2 served before" in newest.reason


def test_a_version_whose_hash_was_changed_in_mlflow_is_refused(bench: Bench) -> None:
    """What counts is the hash that cineclub wrote down itself when it registered the version."""
    served = bench.promoted()
    other = bench.registered(seed=1)
    third = bench.registered(seed=2)
    bench.client.set_model_version_tag("cineclub", str(other.version), "manifest_sha256", third.manifest_sha256)
    bench.client.set_registered_model_alias("cineclub", "production", str(other.version))
    bench.registry.reconcile()
    assert_serves(bench, served)
    (refusal,) = bench.promotions.versions.refusals(5)
    assert "does not have the hash that cineclub registered" in refusal.reason


def test_a_promotion_overrules_an_alias_that_moved_outside_just_before(bench: Bench) -> None:
    """The later decision stands; that the other one was seen is on record."""
    bench.promoted()
    moved = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(moved.version))
    promoted = bench.promoted(seed=2)
    assert_serves(bench, promoted)
    (refusal,) = bench.promotions.versions.refusals(5)
    assert (refusal.version, refusal.asked_by) == (moved.version, "outside")
    assert bench.registry.reconcile() is None


def test_versions_of_an_earlier_release_become_known(bench: Bench) -> None:
    """What MLflow holds from before is listed after the first look, and can be promoted."""
    version = bench.registered()
    with psycopg.connect(bench.database_url) as connection:
        connection.execute("ALTER TABLE cineclub.versions DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM cineclub.versions")
        connection.execute("UPDATE cineclub.schema_migrations SET applied_at = now() WHERE version = 11")
    bench.registry.reconcile()
    (known,) = bench.promotions.versions.recent(5)
    assert (known.registered, known.metrics, known.verdict) == (version, {"ndcg": 0.31}, "PROMOTE")


def test_nobody_waits_for_a_look_while_another_moves_the_alias(bench: Bench) -> None:
    """One process at a time moves the alias; a look that comes meanwhile leaves it alone."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    with bench.promotions.alias.alone(1) as is_alone:
        assert is_alone
        seen: list[str | None] = []
        look = threading.Thread(target=lambda: seen.append(bench.registry.reconcile()))
        look.start()
        look.join(30)
        assert seen == [None]
        newest = bench.promotions.newest()
        assert newest is not None
        assert newest.version == first.version
    bench.registry.reconcile()
    assert_serves(bench, second)


def test_a_decision_during_the_look_at_a_move_outside_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The move was seen first, the promotion was committed while its version was checked: the promotion serves."""
    bench.promoted()
    moved, chosen = bench.registered(seed=1), bench.registered(seed=2)
    bench.client.set_registered_model_alias("cineclub", "production", str(moved.version))
    bring_home = bench.registry._bring_home

    def bring_home_while_somebody_decides(version: RegisteredVersion) -> Path:
        monkeypatch.setattr(bench.registry, "_bring_home", bring_home)
        folder = bring_home(chosen)
        bench.promotions.record(
            NewPromotion(
                version=chosen.version,
                verdict="PROMOTE",
                reason="to try",
                promoted_by="person",
                training_id=None,
                recipe=chosen.recipe,
                manifest_sha256=chosen.manifest_sha256,
                artifact_folder=folder.name,
            )
        )
        return bring_home(version)

    monkeypatch.setattr(bench.registry, "_bring_home", bring_home_while_somebody_decides)
    assert "that decision stands" in (bench.registry.reconcile() or "")
    bench.registry.follow_promotion()
    assert_serves(bench, chosen)
    (refusal,) = bench.promotions.versions.refusals(5)
    assert refusal.version == moved.version


def test_a_foreign_version_stays_foreign_whatever_its_tags_say(
    bench: Bench, open_registry: Callable[[str], MlflowRegistry]
) -> None:
    """Not even a worker that starts afterwards takes it for a version of an earlier release."""
    served = bench.promoted()
    ours = bench.client.get_model_version("cineclub", str(served.version))
    foreign = bench.client.create_model_version("cineclub", ours.source, ours.run_id, tags=dict(ours.tags))
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    open_registry("a new worker").reconcile()
    assert_serves(bench, served)
    with pytest.raises(NotFound):
        bench.registry.put_into_production(int(foreign.version), "to try", "person")


def test_a_refusal_of_what_stays_under_the_alias_is_recorded_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked at while the alias cannot be put back."""
    bench.promoted()
    foreign = bench.client.create_model_version("cineclub", str(bench.home), None)
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    monkeypatch.setattr(bench.registry, "_move_alias", fail_to_move)
    for _ in range(3):
        with pytest.raises(RegistryUnavailable):
            bench.registry.reconcile()
    assert len(bench.promotions.versions.refusals(5)) == 1


def test_a_fault_of_the_store_that_names_the_alias_is_not_a_missing_alias(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the alias would be put back over a move of somebody else that was never seen."""

    def fail(*_: str) -> None:
        message = "SELECT registered_model_aliases.alias: the server closed the connection"
        raise MlflowException(message)

    bench.promoted()
    monkeypatch.setattr(bench.client, "get_model_version_by_alias", fail)
    monkeypatch.setattr(bench.registry._alias, "_client", bench.client)
    with pytest.raises(RegistryUnavailable):
        bench.registry.reconcile()
