"""MLflow's alias follows the promotions; a move made outside cineclub is served, or refused and recorded."""

import shutil
import threading
from collections.abc import Callable

import psycopg
import pytest
from mlflow.exceptions import MlflowException

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.registry import MlflowRegistry
from cineclub.domain.errors import NotFound, RegistryUnavailable
from cineclub.domain.promotion.records import NewPromotion
from cineclub.domain.promotion.versions import RegisteredVersion
from cineclub.flows.promotion.flow import PromotionFlow
from cineclub.flows.promotion.registration import RegistrationFlow
from registry_bench import Bench, assert_serves


class StuckRegistry(MlflowRegistry):
    """A registry whose store becomes unavailable during a move."""

    def move_alias(self, version: int | None) -> None:  # noqa: ARG002 - the port's name
        """Fail."""
        message = "the MLflow store does not answer"
        raise RegistryUnavailable(message)


def stuck(bench: Bench) -> PromotionFlow:
    """Return the promotion flow over a registry that cannot move the alias."""
    registry = StuckRegistry(store_uri(bench.database_url), bench.home)
    return PromotionFlow(RegistrationFlow(registry, bench.versions.store, bench.versions.promotions))


def test_nothing_to_reconcile(bench: Bench) -> None:
    """Before the first promotion, and while alias and promotions agree, nothing is done."""
    assert bench.promotion.reconcile() is None
    version = bench.promoted()
    assert bench.promotion.reconcile() is None
    assert_serves(bench, version)
    assert len(bench.promotions.recent(5)) == 1


def test_an_alias_that_moved_alone_is_followed(bench: Bench) -> None:
    """An alias moved by a crash before the commit or by a person in MLflow is followed if its version is sound."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    assert "is served now" in (bench.promotion.reconcile() or "")
    assert_serves(bench, second)
    promotion = bench.promotions.recent(1)[0]
    assert (promotion.promoted_by, promotion.previous_version) == ("outside", first.version)
    assert bench.promotion.reconcile() is None


def test_a_promotion_that_was_recorded_by_another_is_not_recorded_twice(bench: Bench) -> None:
    """A training that is run again after its promotion was recorded as outside adds no row."""
    version = bench.promoted()
    bench.promotion.promote_winner(bench.training_id, version, "PROMOTE", "it is better", bench.versions.production())
    assert_serves(bench, version)
    assert len(bench.promotions.recent(5)) == 1


@pytest.mark.parametrize("fault", ["damaged", "foreign", "deleted"])
def test_an_alias_on_what_cannot_serve_goes_back(fault: str, bench: Bench) -> None:
    """The alias is put back from a version that cannot be loaded."""
    served = bench.promoted()
    if fault == "deleted":
        number = served.version
        bench.client.delete_registered_model_alias("cineclub", "production")
    else:
        number = bench.registered(seed=1).version
        if fault == "damaged":
            mlflow_version = bench.client.get_model_version("cineclub", str(number))
            shutil.rmtree(mlflow_version.source.removeprefix("file://"))
        else:
            number = bench.client.create_model_version("cineclub", str(bench.home), None).version
        bench.client.set_registered_model_alias("cineclub", "production", str(number))
    assert f"it names version {served.version} now" in (bench.promotion.reconcile() or "")
    assert_serves(bench, served)
    assert len(bench.promotions.recent(5)) == 1
    refused = [(refusal.version, refusal.asked_by) for refusal in bench.promotions.refusals(5)]
    assert refused == ([] if fault == "deleted" else [(int(number), "outside")])


def test_an_alias_on_what_cannot_serve_is_taken_away_where_nothing_serves(bench: Bench) -> None:
    """Before the first promotion, an alias on an unsound version is deleted."""
    foreign = bench.client.create_model_version("cineclub", str(bench.home), None)
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    assert "nothing is in production" in (bench.promotion.reconcile() or "")
    assert bench.versions.production() is None


def test_a_promotion_whose_alias_did_not_move_stands(
    bench: Bench, open_promotion: Callable[[str], PromotionFlow]
) -> None:
    """A promotion committed before a crash stands: the next reconciliation moves the alias and adds no row."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    stuck(bench).promote_winner(bench.training_id, second, "PROMOTE", "it is better", bench.versions.production())
    assert bench.registry.aliased() == first
    assert "it names version 2 now" in (open_promotion("another").reconcile() or "")
    assert_serves(bench, second)
    assert [promotion.verdict for promotion in bench.promotions.recent(5)] == ["PROMOTE", "PROMOTE"]


@pytest.mark.parametrize("moved", ["before the move", "after the move"])
def test_a_crash_in_the_middle_of_a_move_is_not_taken_for_somebody_else(
    moved: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash during the move, the promotion stands and nothing is recorded as outside."""
    bench.promoted()
    second = bench.registered(seed=1)
    bench.promotions.note_alias_moving(second.version)
    if moved == "after the move":
        bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    third = bench.registered(seed=2)
    monkeypatch.setattr(bench.promotion, "follow", lambda: None)
    bench.promotion.promote_winner(bench.training_id, third, "PROMOTE", "it is better", bench.versions.production())
    bench.promotion.reconcile()
    assert_serves(bench, third)
    assert [promotion.promoted_by for promotion in bench.promotions.recent(5)] == ["gate", "gate"]


def test_an_alias_moved_back_to_an_earlier_version_is_served_as_outside(bench: Bench) -> None:
    """A rollback made in MLflow is recorded with its author and the previous version."""
    first = bench.promoted()
    bench.promoted(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(first.version))
    bench.promotion.reconcile()
    assert_serves(bench, first)
    newest = bench.promotions.recent(1)[0]
    assert (newest.verdict, newest.promoted_by, newest.training_id) == ("OUTSIDE", "outside", None)
    assert "version 2 served before" in newest.reason


def test_a_version_whose_hash_was_changed_in_mlflow_is_refused(bench: Bench) -> None:
    """A version is checked against the hash that cineclub recorded at registration."""
    served = bench.promoted()
    other = bench.registered(seed=1)
    third = bench.registered(seed=2)
    bench.client.set_model_version_tag("cineclub", str(other.version), "manifest_sha256", third.manifest_sha256)
    bench.client.set_registered_model_alias("cineclub", "production", str(other.version))
    bench.promotion.reconcile()
    assert_serves(bench, served)
    (refusal,) = bench.promotions.refusals(5)
    assert "does not have the hash that cineclub registered" in refusal.reason


def test_a_promotion_overrules_an_alias_that_moved_outside_just_before(bench: Bench) -> None:
    """The later promotion stands; the move before it is on record."""
    bench.promoted()
    moved = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(moved.version))
    promoted = bench.promoted(seed=2)
    assert_serves(bench, promoted)
    (refusal,) = bench.promotions.refusals(5)
    assert (refusal.version, refusal.asked_by) == (moved.version, "outside")
    assert bench.promotion.reconcile() is None


def test_versions_of_an_earlier_release_become_known(bench: Bench) -> None:
    """Versions of an earlier release are listed after the first reconciliation and can be promoted."""
    version = bench.registered()
    with psycopg.connect(bench.database_url) as connection:
        connection.execute("ALTER TABLE cineclub.versions DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM cineclub.versions")
        connection.execute("UPDATE cineclub.schema_migrations SET applied_at = now() WHERE version = 11")
    bench.promotion.reconcile()
    (known,) = bench.promotions.recent_versions(5)
    assert (known.registered, known.metrics, known.verdict) == (version, {"ndcg": 0.31}, "PROMOTE")


def test_nobody_waits_for_a_reconciliation_while_another_moves_the_alias(bench: Bench) -> None:
    """One process at a time moves the alias; a concurrent reconciliation leaves it alone."""
    first = bench.promoted()
    second = bench.registered(seed=1)
    bench.client.set_registered_model_alias("cineclub", "production", str(second.version))
    with bench.promotions.alias_lock(1) as is_alone:
        assert is_alone
        seen: list[str | None] = []
        thread = threading.Thread(target=lambda: seen.append(bench.promotion.reconcile()))
        thread.start()
        thread.join(30)
        assert seen == [None]
        newest = bench.promotions.newest()
        assert newest is not None
        assert newest.version == first.version
    bench.promotion.reconcile()
    assert_serves(bench, second)


def test_a_decision_during_the_check_of_an_outside_move_stands(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion committed while the outside version is being checked serves."""
    bench.promoted()
    moved, chosen = bench.registered(seed=1), bench.registered(seed=2)
    bench.client.set_registered_model_alias("cineclub", "production", str(moved.version))
    bring_home = bench.versions.bring_home

    def bring_home_while_somebody_decides(version: RegisteredVersion) -> None:
        monkeypatch.setattr(bench.versions, "bring_home", bring_home)
        bring_home(chosen)
        bench.promotions.record(NewPromotion.of(chosen, "PROMOTE", "to try", "person"))
        bring_home(version)

    monkeypatch.setattr(bench.versions, "bring_home", bring_home_while_somebody_decides)
    assert "that decision stands" in (bench.promotion.reconcile() or "")
    bench.promotion.follow()
    assert_serves(bench, chosen)
    (refusal,) = bench.promotions.refusals(5)
    assert refusal.version == moved.version


def test_a_foreign_version_stays_foreign_whatever_its_tags_say(
    bench: Bench, open_promotion: Callable[[str], PromotionFlow]
) -> None:
    """A worker that starts later does not take a foreign version for one of an earlier release."""
    served = bench.promoted()
    ours = bench.client.get_model_version("cineclub", str(served.version))
    foreign = bench.client.create_model_version("cineclub", ours.source, ours.run_id, tags=dict(ours.tags))
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    open_promotion("a new worker").reconcile()
    assert_serves(bench, served)
    with pytest.raises(NotFound):
        bench.promotion.promote(int(foreign.version), "to try")


def test_a_refusal_of_what_stays_under_the_alias_is_recorded_once(bench: Bench) -> None:
    """A refused version is recorded once, though the alias cannot be put back for a while."""
    bench.promoted()
    foreign = bench.client.create_model_version("cineclub", str(bench.home), None)
    bench.client.set_registered_model_alias("cineclub", "production", foreign.version)
    for _ in range(3):
        with pytest.raises(RegistryUnavailable):
            stuck(bench).reconcile()
    assert len(bench.promotions.refusals(5)) == 1


def test_a_fault_of_the_store_that_names_the_alias_is_not_a_missing_alias(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage error that mentions the alias is not read as a missing alias, which would undo an unseen move."""

    def fail(*_: str) -> None:
        message = "SELECT registered_model_aliases.alias: the server closed the connection"
        raise MlflowException(message)

    bench.promoted()
    monkeypatch.setattr(bench.client, "get_model_version_by_alias", fail)
    monkeypatch.setattr(bench.registry, "_client", bench.client)
    with pytest.raises(RegistryUnavailable):
        bench.promotion.reconcile()
