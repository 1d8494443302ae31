"""A person, or probation, decides which version serves: any that was registered, or what served before."""

from collections.abc import Sequence
from typing import Protocol

from cineclub.domain.errors import BrokenArtifact, Conflict
from cineclub.domain.rollback import rollback_target
from cineclub.ports import Compared, PromotedBy, Promotion

PERSON: PromotedBy = "person"
BY_PROBATION: PromotedBy = "probation"
LOOKED_AT = 1000


class Versions(Protocol):
    """The registry as far as a person moves production in it."""

    def put_into_production(self, version: int, reason: str, promoted_by: PromotedBy) -> None:
        """Check a version in a fresh process, then let it serve."""
        ...

    def roll_back(self, version: int, reason: str, promoted_by: PromotedBy, compared: Compared | None = None) -> None:
        """Check an earlier version in a fresh process, then let it serve again, if what it was compared with serves."""
        ...


class History(Protocol):
    """What served, and since when."""

    def newest(self) -> Promotion | None:
        """Return the promotion that decides what is served."""
        ...

    def recent(self, limit: int) -> Sequence[Promotion]:
        """Return the promotions, newest first."""
        ...


def promote(versions: Versions, history: History, version: int, reason: str) -> Promotion:
    """Let a registered version serve, whatever the gate said of it, and return what serves now.

    Raises:
        NotFound: no such version.
        Conflict: it serves already, or it cannot be served.
    """
    serving = history.newest()
    if serving is not None and serving.version == version:
        message = f"version {version} is in production already"
        raise Conflict(message)
    try:
        versions.put_into_production(version, reason, PERSON)
    except BrokenArtifact as error:
        raise _unservable(version, error) from error
    return _serving(history)


def roll_back(versions: Versions, history: History, reason: str) -> Promotion:
    """Let the version serve again that served before, and return it; a second rollback goes further back.

    Raises:
        Conflict: nothing served before, or that version cannot be served any more.
    """
    target = rollback_target(history.recent(LOOKED_AT))
    if target is None:
        message = "nothing served before what serves now: there is no version to go back to"
        raise Conflict(message)
    try:
        versions.roll_back(target.version, reason, PERSON)
    except BrokenArtifact as error:
        raise _unservable(target.version, error) from error
    return _serving(history)


def end_probation(versions: Versions, history: History, promotion_id: int, reason: str) -> Promotion:
    """Let the former version serve again in place of what a promotion put there, and return what serves now.

    However many processes ask for it, and whenever, it happens once: only while that promotion decides what serves.

    Raises:
        Conflict: something else serves by now, or the former version cannot be served any more.
    """
    promotions = history.recent(LOOKED_AT)
    target = rollback_target(promotions)
    if target is None or promotions[0].promotion_id != promotion_id:
        message = f"promotion {promotion_id} does not decide any more what serves: probation changed nothing"
        raise Conflict(message)
    serving = Compared((promotions[0].version, promotions[0].manifest_sha256), promotion_id)
    try:
        versions.roll_back(target.version, reason, BY_PROBATION, serving)
    except BrokenArtifact as error:
        raise _unservable(target.version, error) from error
    return _serving(history)


def _unservable(version: int, error: BrokenArtifact) -> Conflict:
    """Return that a version cannot be served, and that nothing changed."""
    return Conflict(f"version {version} cannot be served ({error}): production stays as it was, choose another version")


def _serving(history: History) -> Promotion:
    """Return what serves now."""
    newest = history.newest()
    if newest is None:
        message = "nothing is in production: start a training"
        raise Conflict(message)
    return newest
