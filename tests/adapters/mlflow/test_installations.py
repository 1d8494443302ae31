"""An installation uses its own registered model and no other: neither another's, nor one that counts from 1 again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import psycopg
import pytest

from cineclub.adapters.mlflow.client import store_uri
from cineclub.cli import diagnosis
from cineclub.domain.errors import ForeignRegistry
from cineclub.settings import Settings
from installations import Installed, become_another, forget_registry
from registry_bench import copied_database


@pytest.fixture
def shared(server_url: str, mlflow_template: str) -> Iterator[str]:
    """The address of an MLflow store that is no installation's own."""
    with copied_database(server_url, mlflow_template) as url:
        yield store_uri(url)


@pytest.fixture
def elder(bench_database: str, home: Path, shared: str) -> Installed:
    """An installation with two versions in the shared store, the second in production."""
    installed = Installed(bench_database, home / "elder", shared)
    installed.promoted(0)
    installed.promoted(1)
    return installed


@pytest.fixture
def younger(server_url: str, mlflow_template: str, home: Path, shared: str) -> Iterator[Installed]:
    """A new installation over the same store."""
    with copied_database(server_url, mlflow_template) as url:
        become_another(url)
        yield Installed(url, home / "younger", shared)


def untag(installed: Installed) -> None:
    """Make an installation as an earlier release left it: without tags and without a recorded registry."""
    for tag in ("cineclub.installation", "cineclub.registry"):
        installed.client.delete_registered_model_tag(installed.model_name, tag)
    forget_registry(installed.database_url)


def settings_of(installed: Installed) -> Settings:
    """Return the settings of an installation."""
    return Settings.apart(
        database_url=installed.database_url,
        home=installed.home,
        mlflow_tracking_uri=installed.store or None,
        model_name=installed.model_name,
    )


def test_a_second_installation_neither_serves_nor_moves_what_is_the_first_ones(
    elder: Installed, younger: Installed
) -> None:
    """The younger installation promotes nothing, registers nothing and leaves the alias; the elder is not disturbed."""
    for _ in range(3):
        with pytest.raises(ForeignRegistry, match="CINECLUB_MODEL_NAME"):
            younger.flow().reconcile()
        assert elder.flow().reconcile() is None
    with pytest.raises(ForeignRegistry):
        younger.registered(5)
    with pytest.raises(ForeignRegistry):
        younger.flow().promote(1, "a test")
    assert younger.promotions.newest() is None
    assert (elder.numbers(), elder.alias()) == ([1, 2], 2)
    finding = diagnosis._guarded(diagnosis._registry, settings_of(younger))
    assert (finding.status, "another installation" in finding.what) == ("FAIL", True)
    assert diagnosis._guarded(diagnosis._registry, settings_of(elder)).status == "OK"


def test_a_name_of_its_own_is_all_that_a_second_installation_needs(elder: Installed, younger: Installed) -> None:
    """With CINECLUB_MODEL_NAME both register from 1, promote and follow, and neither sees the other."""
    own = replace(younger, model_name="films-of-the-club")
    assert own.promoted(3).version == 1
    for _ in range(2):
        assert (own.flow().reconcile(), elder.flow().reconcile()) == (None, None)
    assert (own.numbers(), own.alias(), elder.numbers(), elder.alias()) == ([1], 1, [1, 2], 2)
    with pytest.raises(ForeignRegistry):
        younger.flow().reconcile()


def test_of_two_new_installations_that_start_at_once_one_gets_the_registered_model(
    bench_database: str, home: Path, younger: Installed
) -> None:
    """Two installations open an empty store at the same time: one may go on, and the other is refused."""
    both = [Installed(bench_database, home / "elder", younger.store), younger]
    barrier, outcomes = Barrier(2), []

    def start(installed: Installed) -> None:
        versions = installed.flow().versions
        barrier.wait()
        try:
            versions.open()
        except ForeignRegistry:
            outcomes.append("refused")
        else:
            outcomes.append("opened")

    threads = [Thread(target=start, args=(installed,)) for installed in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["opened", "refused"]


def test_a_registry_that_is_set_later_is_refused_with_the_command_that_moves_the_versions(
    bench_database: str, home: Path, shared: str
) -> None:
    """With versions in PostgreSQL, a server that is set later gets no second version 1; unset again, all goes on."""
    within = Installed(bench_database, home)
    within.promoted(0)
    version = within.promoted(1)
    later = replace(within, store=shared)
    refusals: list[Callable[[], object]] = [
        lambda: later.registered(2),
        later.flow().reconcile,
        lambda: later.flow().roll_back("a test"),
    ]
    for refused in refusals:
        with pytest.raises(ForeignRegistry, match="cineclub mlflow move"):
            refused()
    assert later.numbers() == []
    assert within.promotions.newest().key == version.key
    assert within.flow().reconcile() is None
    assert within.registered(2).version == 3


def test_a_registry_that_is_unset_later_is_refused_too(elder: Installed) -> None:
    """With versions on a server, the store in PostgreSQL gets no second version 1."""
    with pytest.raises(ForeignRegistry, match="cineclub mlflow move"):
        replace(elder, store="").registered(1)
    assert replace(elder, store="").numbers() == []


def test_another_name_set_later_is_refused_too(elder: Installed) -> None:
    """With versions under one name, another name gets no second version 1."""
    with pytest.raises(ForeignRegistry, match="cineclub mlflow move"):
        replace(elder, model_name="other").registered(1)


@pytest.mark.parametrize("place", ["in PostgreSQL", "on a server"])
def test_an_emptied_registry_is_refused(place: str, younger: Installed) -> None:
    """A registered model that is gone, or was created again, gives no second version 1."""
    installed = replace(younger, store="") if place == "in PostgreSQL" else younger
    installed.promoted(7)
    installed.client.delete_registered_model("cineclub")
    with pytest.raises(ForeignRegistry, match="cineclub mlflow move --rebuild"):
        installed.registered(2)
    with pytest.raises(ForeignRegistry):
        installed.flow().reconcile()
    installed.client.create_registered_model("cineclub")
    with pytest.raises(ForeignRegistry):
        installed.registered(2)
    assert installed.numbers() == []


def test_a_number_is_never_given_twice(elder: Installed, shared: str) -> None:
    """Where versions were removed from MLflow's tables, the version with a number given before is deleted again."""
    with psycopg.connect(shared.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute("DELETE FROM model_version_tags")
        connection.execute("DELETE FROM registered_model_aliases")
        connection.execute("DELETE FROM model_versions")
    with pytest.raises(ForeignRegistry, match="a second time"):
        elder.registered(9)
    assert elder.numbers() == []


def test_versions_of_an_earlier_release_are_taken_over_by_the_installation_that_has_them(
    elder: Installed, younger: Installed
) -> None:
    """Without tags the registry belongs to the installation whose versions it has, whoever comes first."""
    untag(elder)
    with pytest.raises(ForeignRegistry, match="version 1 is not of this"):
        younger.flow().reconcile()
    assert elder.flow().reconcile() is None
    assert elder.registered(3).version == 3
    assert elder.client.get_registered_model("cineclub").tags["cineclub.installation"]


def test_a_registry_that_two_installations_of_an_earlier_release_filled_is_refused_to_both(
    elder: Installed, younger: Installed
) -> None:
    """Where versions of both are under one name, neither goes on there, and each may move its own out."""
    untag(elder)
    with psycopg.connect(younger.database_url) as connection:
        connection.execute("UPDATE cineclub.installation SET installation_id = (%s)::uuid", ("0" * 32,))
    elder.client.set_model_version_tag("cineclub", "2", "manifest_sha256", "cd" * 32)
    for installed in (elder, younger):
        with pytest.raises(ForeignRegistry, match="is not of this"):
            installed.flow().reconcile()


def test_a_registry_of_an_earlier_release_is_examined_without_tags(elder: Installed) -> None:
    """``cineclub doctor`` finds nothing wrong with a registered model without owner, and puts no tags on it."""
    untag(elder)
    assert diagnosis._guarded(diagnosis._registry, settings_of(elder)).status == "OK"
    assert not elder.client.get_registered_model("cineclub").tags
    assert elder.promotions.installation().place is None
