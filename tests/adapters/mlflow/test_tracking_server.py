"""A remote MLflow server: versions are registered, promoted and moved there, and its restarts are waited for."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cineclub.adapters.mlflow.client import store_uri
from cineclub.adapters.mlflow.copying import VersionCopier
from cineclub.bootstrap.moving import move_versions
from cineclub.cli import diagnosis
from cineclub.domain.errors import Conflict, ForeignRegistry, InvalidInput, RegistryUnavailable
from cineclub.domain.promotion.ownership import RegistryPlace
from cineclub.flows.promotion.moving import MoveReport
from cineclub.runtime.redaction import redacted
from cineclub.settings import Settings
from installations import Installed, become_another, forget_registry
from registry_bench import copied_database
from tracking_server import TrackingServer


@pytest.fixture
def server(server_url: str, mlflow_template: str, home: Path) -> Iterator[TrackingServer]:
    """A running MLflow server with a database and a folder of its own."""
    with copied_database(server_url, mlflow_template) as url:
        started = TrackingServer(store_uri(url), home / "server")
        started.start()
        yield started
        started.stop()


def test_versions_are_registered_and_promoted_on_a_remote_server(
    bench_database: str, home: Path, server: TrackingServer
) -> None:
    """A remote server gets versions, runs and the alias, and nothing is promoted twice."""
    installed = Installed(bench_database, home, server.url)
    assert [installed.promoted(seed).version for seed in (0, 1)] == [1, 2]
    assert (installed.numbers(), installed.alias(), installed.flow().reconcile()) == ([1, 2], 2, None)
    installed.client.set_registered_model_alias("cineclub", "production", "1")
    assert "is served now" in (installed.flow().reconcile() or "")
    assert installed.promotions.newest().version == 1


def settings_of(installed: Installed) -> Settings:
    """Return the settings of an installation."""
    return Settings.apart(
        database_url=installed.database_url,
        home=installed.home,
        mlflow_tracking_uri=installed.store or None,
        model_name=installed.model_name,
    )


def moved(installed: Installed, source: str | None = None, *, rebuild: bool = False) -> MoveReport:
    """Move the versions of an installation to the registered model of its settings."""
    return move_versions(settings_of(installed), source, None, lambda _number, _last: None, rebuild=rebuild)


@pytest.fixture
def within(bench_database: str, home: Path) -> Installed:
    """An installation with versions 1, 3 and 4 in PostgreSQL; 3 serves, and 2 was deleted."""
    installed = Installed(bench_database, home)
    for seed in range(4):
        installed.registered(seed)
    installed.flow().promote(3, "a test")
    versions = installed.flow().versions
    versions.promotions.withdraw(versions.get(2))
    installed.client.delete_model_version("cineclub", "2")
    return installed


def facts_of(installed: Installed) -> dict[int, object]:
    """Return tags, description, metrics, parameters and documents of each version in the registry."""
    facts: dict[int, object] = {}
    for number in installed.numbers():
        version = installed.client.get_model_version(installed.model_name, str(number))
        run = installed.client.get_run(version.run_id)
        files = sorted(file.path for file in installed.client.list_artifacts(version.run_id))
        facts[number] = (version.tags, version.description, run.data.metrics, run.data.params, files)
    return facts


def test_a_move_to_a_server_and_back_keeps_numbers_runs_files_and_aliases(
    within: Installed, server: TrackingServer
) -> None:
    """All versions are on the server under their numbers, the next one is new, and so it is after the way back."""
    before = facts_of(within)
    later = replace(within, store=server.url)
    report = moved(later)
    assert (report.moved, report.lost) == ((1, 3, 4), ())
    assert facts_of(later) == facts_of(within) == before
    assert (later.alias(), within.alias(), later.flow().reconcile()) == (3, 3, None)
    assert later.registered(7).version == 5
    for number in (1, 3, 4):
        later.flow().versions.load(number)
    with pytest.raises(ForeignRegistry, match="cineclub mlflow move"):
        within.registered(8)
    with pytest.raises(Conflict, match="come from"):
        moved(later)
    back = replace(within, model_name="again")
    assert moved(back).moved == (1, 3, 4, 5)
    assert facts_of(back) == facts_of(later)
    assert (back.alias(), back.registered(9).version) == (3, 6)


@pytest.mark.parametrize("method", ["create", "tag", "delete", "artifacts"])
def test_an_interrupted_move_goes_on_where_it_stopped(
    method: str, within: Installed, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that ends at each kind of call, again and again, ends with every version once and under its number."""
    later = replace(within, store=server.url)
    name = {
        "create": "create_model_version",
        "tag": "set_registered_model_tag",
        "delete": "delete_model_version",
        "artifacts": "log_artifacts",
    }[method]
    original, calls = getattr(MlflowClient, name), iter(range(1000))

    def cut_off(client: MlflowClient, *arguments: Any, **named: Any) -> Any:
        outcome = original(client, *arguments, **named)
        if next(calls) % 5 == 0:
            message = "the connection was cut after the call"
            raise MlflowException(message)
        return outcome

    n_attempts = 0
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, name, cut_off)
        while n_attempts < 40:
            n_attempts += 1
            try:
                report = moved(later)
            except RegistryUnavailable:
                assert within.promotions.installation().place == RegistryPlace()
                continue
            break
    assert (report.moved, report.lost) == ((1, 3, 4), ())
    assert n_attempts > 1
    assert (later.numbers(), later.alias(), later.registered(7).version) == ([1, 3, 4], 3, 5)


def test_a_move_that_began_before_the_registry_was_recorded_is_not_taken_for_the_whole(
    within: Installed, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade nothing uses the target of an unfinished move, and the move goes on and ends."""
    for tag in ("cineclub.installation", "cineclub.registry"):
        within.client.delete_registered_model_tag("cineclub", tag)
    forget_registry(within.database_url)
    later = replace(within, store=server.url)
    with monkeypatch.context() as patched:
        patched.setattr(VersionCopier, "copy", cut_off_at_version_3(VersionCopier.copy))
        with pytest.raises(RegistryUnavailable):
            moved(later, within.address)
    tags = later.flow().versions.registry.model_tags()
    uses: list[Callable[[], object]] = [
        later.flow().reconcile,
        lambda: later.registered(7),
        later.flow().versions.open,
        lambda: diagnosis._registry(settings_of(later)),
    ]
    for use in uses:
        with pytest.raises(ForeignRegistry, match=r"unfinished.*cineclub mlflow move"):
            use()
    assert later.flow().versions.registry.model_tags() == tags
    assert (later.numbers(), later.promotions.installation().place) == ([1], None)
    assert moved(later, within.address).moved == (1, 3, 4)
    assert later.registered(7).version == 5


def cut_off_at_version_3(copy: Callable[[VersionCopier, int], int]) -> Callable[[VersionCopier, int], int]:
    """Return a copy of versions for which the registry does not answer from version 3 on."""

    def cut_off(copier: VersionCopier, number: int) -> int:
        if number >= 3:
            message = "the registry went away"
            raise RegistryUnavailable(message)
        return copy(copier, number)

    return cut_off


def test_a_move_from_a_recorded_server_that_does_not_answer_names_the_option_from(
    bench_database: str, home: Path, server: TrackingServer
) -> None:
    """The recorded address has no login, so a server that refuses it is named with --from; a named one is not."""
    elder = Installed(bench_database, home, server.url)
    elder.promoted(0)
    server.stop()
    within = replace(elder, store="")
    with pytest.raises(RegistryUnavailable, match="--from ADDRESS"):
        moved(within)
    with pytest.raises(RegistryUnavailable) as refused:
        moved(within, server.url)
    assert "--from" not in str(refused.value)
    server.start()
    assert moved(within).moved == (1,)


def test_the_address_after_from_is_checked_and_its_password_hidden(within: Installed) -> None:
    """A malformed address is refused without a word of it, and the password of a good one is in no text."""
    secret = "S3cret-of-the-mover"  # noqa: S105 - planted
    later = replace(within, model_name="later")
    for address in (f"http://u:{secret}@x@h", f"http://u:{secret}/x@h", f"http://h:{secret}"):
        with pytest.raises(InvalidInput, match="--from") as refused:
            moved(later, address)
        assert secret not in refused.value.in_full()
    with pytest.raises(RegistryUnavailable):
        moved(later, f"http://u:{secret}@127.0.0.1:9")
    assert secret not in redacted(f"the login is {secret}")
    assert moved(later, "").moved == (1, 3, 4)


def test_a_move_leaves_nothing_outside_the_state_folder(
    within: Installed, server: TrackingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of versions pass through unfinished folders of the state folder, which killed moves leave to the next."""
    monkeypatch.setattr("tempfile.tempdir", str(within.home / "no folder"))
    assert moved(replace(within, store=server.url)).moved == (1, 3, 4)
    assert list((within.home / "unfinished").iterdir()) == []


def test_versions_of_a_lost_registry_are_rebuilt_under_their_numbers(within: Installed) -> None:
    """Without the former registry the versions with a copy on this machine return, and the other numbers stay taken."""
    within.client.delete_registered_model("cineclub")
    with pytest.raises(ForeignRegistry, match="--rebuild"):
        within.registered(7)
    report = moved(within, rebuild=True)
    assert (report.moved, report.lost) == ((3,), (1, 4))
    assert (within.numbers(), within.alias(), within.flow().reconcile()) == ([3], 3, None)
    assert within.registered(7).version == 5


def test_a_move_refuses_a_target_that_is_in_use_and_a_source_without_the_versions(
    within: Installed, server: TrackingServer, server_url: str, mlflow_template: str, home: Path
) -> None:
    """Neither another installation's registered model nor an empty source is touched."""
    with copied_database(server_url, mlflow_template) as url:
        become_another(url)
        other = Installed(url, home / "other", server.url)
        other.promoted(5)
        with pytest.raises(Conflict, match="another installation"):
            moved(replace(within, store=server.url))
        assert (other.numbers(), other.flow().reconcile()) == ([1], None)
        with pytest.raises(Conflict, match="no version of this installation"):
            moved(replace(within, model_name="mine"), server.url)
    assert within.flow().reconcile() is None
