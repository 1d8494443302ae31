"""What the registry needs of PostgreSQL: what is known of versions, what served, where the alias was left."""

from datetime import datetime
from typing import Protocol

from cineclub.adapters.mlflow.alias import AliasMemory
from cineclub.ports import Asker, Compared, KnownVersion, NewPromotion, Promotion, Refusal, RegisteredVersion


class VersionBook(Protocol):
    """What is known of the registered versions, and of those that were refused."""

    def get(self, version: int) -> KnownVersion:
        """Return what is known of a version.

        Raises:
            NotFound: no such version.
        """
        ...

    def recent(self, limit: int, before: int | None = None) -> list[KnownVersion]:
        """Return the versions, newest first, those with numbers below ``before`` if it is given."""
        ...

    def refuse(self, version: int, asked_by: Asker, reason: str) -> bool:
        """Put on record that a version was not promoted; return False where that was the last word already."""
        ...

    def refusals(self, limit: int) -> list[Refusal]:
        """Return what was refused, newest first."""
        ...

    def challenger(self) -> KnownVersion | None:
        """Return the version that might serve next; None where there is none."""
        ...


class PromotionBook(Protocol):
    """The history of what served."""

    def newest(self) -> Promotion | None:
        """Return the promotion that decides what is served."""
        ...

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:
        """Return the promotions, newest first, those recorded before the one with this id if it is given."""
        ...

    def record(self, promotion: NewPromotion, compared: Compared | None = None) -> Promotion:
        """Add a promotion.

        Raises:
            Conflict: something else serves by now than what it was compared with.
            LeaseLost: the training is no longer this worker's.
        """
        ...

    def check_lease(self, training_id: str) -> None:
        """Refuse to go on with a training that is another worker's by now.

        Raises:
            LeaseLost: the training is no longer this worker's.
        """
        ...


class Versions(VersionBook, Protocol):
    """What is known of the versions, as the registry writes it."""

    def note(self, known: KnownVersion) -> None:
        """Keep what is known of a version, once."""
        ...

    def keep_statistics(self, version: RegisteredVersion, statistics: str) -> None:
        """Keep what the ratings look like that a version learned from, as JSON, once."""
        ...

    def withdraw(self, version: RegisteredVersion) -> None:
        """Mark a version that its training has replaced before it ever served."""
        ...

    def noted_since(self) -> datetime:
        """Return from when on every version is noted when it is registered."""
        ...

    def manifests(self) -> set[tuple[int, str]]:
        """Return number and hash of every version that was ever noted."""
        ...


class History(PromotionBook, Protocol):
    """The history of what served, with what belongs to it."""

    @property
    def versions(self) -> Versions:
        """What was registered and refused."""
        ...

    @property
    def alias(self) -> AliasMemory:
        """Where the alias was last set to by us."""
        ...
