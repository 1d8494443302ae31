"""Whose a registered model is: an installation uses the one that has its ids, and no other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cineclub.domain.promotion.versions import VersionKey

OWN_STORE = "the store in PostgreSQL"
DEFAULT_MODEL_NAME = "cineclub"
OWNER_TAG, REGISTRY_TAG, COPIED_TAG = "cineclub.installation", "cineclub.registry", "cineclub.copied_up_to"
"""Tags of the registered model: the installation, the id of this registry, and the last number of a move."""

RESERVED_TAG = "cineclub.reserved"
"""Tag of a version that a move makes to take a number, and deletes."""

OwnershipAction = Literal["keep", "claim", "refuse"]


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """A registered model: the address of its registry without user, password and query, and its name."""

    address: str = OWN_STORE
    model_name: str = DEFAULT_MODEL_NAME

    @property
    def is_own_store(self) -> bool:
        """Whether it is in the same PostgreSQL as the installation."""
        return self.address == OWN_STORE

    def __str__(self) -> str:
        """Return the place as part of a sentence, without the address of a server, which is for the owner alone."""
        return (
            f"the registered model {self.model_name} {'in PostgreSQL' if self.is_own_store else 'on an MLflow server'}"
        )


@dataclass(frozen=True, slots=True)
class Installation:
    """The identity of an installation, and its registry: ``place`` is None until a registered model has its tags."""

    installation_id: str
    registry_id: str
    place: RegistryPlace | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its registered model."""
        return {REGISTRY_TAG: self.registry_id, OWNER_TAG: self.installation_id}


@dataclass(frozen=True, slots=True)
class VersionEvidence:
    """The versions that a registry holds and PostgreSQL recorded, for a registered model without tags.

    Attributes:
        registered: the versions in the registry that cineclub registered.
        recorded: the versions that PostgreSQL has recorded.
        own: those of ``registered`` that were recorded, or that a training of this installation registered.
    """

    registered: Collection[VersionKey] = ()
    recorded: Collection[VersionKey] = ()
    own: Collection[VersionKey] = ()


@dataclass(frozen=True, slots=True)
class OwnershipDecision:
    """What an installation does with the registered model: use it, put its tags on it, or refuse it with a message.

    The detail names addresses.
    """

    action: OwnershipAction
    message: str = ""
    detail: str = ""


def decide_ownership(
    installation: Installation, place: RegistryPlace, tags: Mapping[str, str] | None, evidence: VersionEvidence
) -> OwnershipDecision:
    """Return whether an installation may use a registered model.

    Args:
        installation: the installation with its recorded registry.
        place: the registered model of the settings.
        tags: its tags; None where there is no such registered model.
        evidence: the versions on both sides; read only for a registered model without an owner.
    """
    owner, registry_id = (tags or {}).get(OWNER_TAG), (tags or {}).get(REGISTRY_TAG)
    if (owner, registry_id) == (installation.installation_id, installation.registry_id):
        return OwnershipDecision("keep" if installation.place == place else "claim")
    if owner not in (None, installation.installation_id):
        return OwnershipDecision("refuse", _belongs_to_another(place), place.address)
    if installation.place is not None:
        detail = f"{installation.place.address}; the settings name {place.address}"
        return OwnershipDecision("refuse", _is_elsewhere(installation.place, place, is_gone=tags is None), detail)
    if owner is not None:  # ours with the id of another registry: PostgreSQL gets that id when all versions are there
        return OwnershipDecision("refuse", _is_half_moved(place), place.address)
    refusal = "" if place.is_own_store else _refusal_of_versions(place, evidence)  # nobody else uses our own store
    return OwnershipDecision("refuse" if refusal else "claim", refusal, place.address)


def _refusal_of_versions(place: RegistryPlace, evidence: VersionEvidence) -> str:
    """Return why a registered model without an owner cannot be this installation's; empty where it can."""
    if foreign := [number for number, sha256 in evidence.registered if (number, sha256) not in evidence.own]:
        return _belongs_to_another(place, min(foreign))
    if evidence.recorded and not evidence.own:
        return _is_elsewhere(RegistryPlace(), place, is_gone=False)
    return ""


def _belongs_to_another(place: RegistryPlace, version: int | None = None) -> str:
    """Return the message about a registered model of another installation."""
    holds = f" (version {version} is not of this one)" if version else ""
    return (
        f"{place} belongs to another installation of cineclub{holds}: nothing was registered or promoted there, and "
        "what serves goes on serving; set CINECLUB_MODEL_NAME to a name of this installation's own and start again (if "
        "it has versions already, `cineclub mlflow move` copies them there)"
    )


def _is_half_moved(place: RegistryPlace) -> str:
    """Return the message about a registered model to which a move of this installation's versions began."""
    return (
        f"a move of the versions to {place} is unfinished, and new versions would get numbers that are taken: stop the "
        "worker and run `cineclub mlflow move`, which goes on where it stopped, or set MLFLOW_TRACKING_URI and "
        "CINECLUB_MODEL_NAME back; what serves goes on serving"
    )


def _is_elsewhere(recorded: RegistryPlace, place: RegistryPlace, *, is_gone: bool) -> str:
    """Return the message about a registered model that is not the one with this installation's versions."""
    if is_gone and recorded == place:
        return (
            f"{place} is gone, and with it the numbers of the versions: restore MLflow's database from its backup, or "
            "run `cineclub mlflow move --rebuild`, which registers the versions of this machine again under their "
            "numbers; what serves goes on serving"
        )
    return (
        f"the versions of this installation are in {recorded}, and {place} would count from 1 again: set "
        "MLFLOW_TRACKING_URI and CINECLUB_MODEL_NAME back, or stop the worker and run `cineclub mlflow move`, which "
        "copies the versions with their numbers; what serves goes on serving"
    )
