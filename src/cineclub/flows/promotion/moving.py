"""The move of all versions to another registered model, where they keep their numbers; the former is only read.

A move that was interrupted goes on where it stopped. PostgreSQL names the new registered model when all is there.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

from cineclub.domain.errors import BrokenArtifact, Conflict, NotFound
from cineclub.domain.promotion.ownership import COPIED_TAG, OWNER_TAG, REGISTRY_TAG, RESERVED_TAG, RegistryPlace
from cineclub.domain.promotion.versions import RegisteredVersion, VersionKey
from cineclub.ports import ModelRegistry, PromotionHistory


@dataclass(frozen=True, slots=True)
class MoveParts:
    """What a move reads and writes.

    Attributes:
        source_versions: returns the identity of each version of the former registered model by number.
        source_aliases: returns its aliases, ``production`` aside.
        copy: copies a version, and returns the number of the copy; raises ``BrokenArtifact`` if its files are gone.
        rebuild: registers a version again from the copy on this machine, and returns its number; raises
            ``BrokenArtifact`` without a copy.
        reserve: takes the next number for a version that is not copied, and returns it.
        set_alias: lets an alias of the target name a version.
        verify: checks the files of a version of the target against its hash; raises ``BrokenArtifact``.
        has_source: whether there is a former registered model; without one, versions are rebuilt.
    """

    source_versions: Callable[[], Mapping[int, VersionKey]]
    source_aliases: Callable[[], Mapping[str, int]]
    copy: Callable[[int], int]
    rebuild: Callable[[RegisteredVersion], int]
    reserve: Callable[[], int]
    set_alias: Callable[[str, int], None]
    verify: Callable[[RegisteredVersion], None]
    has_source: bool = True


@dataclass(frozen=True, slots=True)
class MoveReport:
    """The versions that were moved, and those whose files are nowhere: their numbers stay taken."""

    moved: tuple[int, ...]
    lost: tuple[int, ...]


class VersionMove:
    """The move of one installation's versions.

    Its methods raise ``RegistryUnavailable`` and ``StorageUnavailable`` where a part does not answer.
    """

    def __init__(
        self, parts: MoveParts, target: ModelRegistry, place: RegistryPlace, promotions: PromotionHistory
    ) -> None:
        """Move to this registry, which is at ``place``."""
        self._parts = parts
        self._target = target
        self._place = place
        self._promotions = promotions

    def run(self, report: Callable[[int, int], None]) -> MoveReport:
        """Move every version, and return the report; ``report`` is called with each number and the last.

        Raises:
            Conflict: the versions are there already, or the target is another's, or the source has none of them.
        """
        recorded, source = self._promotions.manifests(), dict(self._parts.source_versions())
        own = {number: key for number, key in source.items() if key in recorded}
        if recorded and not own and self._parts.has_source:
            message = (
                "the former registry has no version of this installation: name it with --from and --from-name, or use "
                "--rebuild to register the versions of this machine again"
            )
            raise Conflict(message)
        registry_id, n_copied = self._opened_target()
        self._remove_reserved(n_copied)
        last = max((number for number, _ in [*recorded, *source.values()]), default=0)
        for number in range(n_copied + 1, last + 1):
            report(number, last)
            self._place_number(number, own.get(number))
            self._target.tag_model({COPIED_TAG: str(number)})
            self._remove_reserved(number)
        moved = self._verified(last)
        self._set_aliases(moved)
        self._promotions.record_registry(registry_id, self._place)
        known = {number for number, _ in recorded if self._is_listed(number)}
        return MoveReport(tuple(moved), tuple(sorted(known - set(moved))))

    def _opened_target(self) -> tuple[str, int]:
        """Make the target this installation's; return its id, and the last number that an earlier attempt copied."""
        installation, tags = self._promotions.installation(), self._target.model_tags() or {}
        if tags.get(OWNER_TAG, installation.installation_id) != installation.installation_id:
            message = f"{self._place} belongs to another installation: set CINECLUB_MODEL_NAME to a name of its own"
            raise Conflict(message)
        if installation.place is not None and tags.get(REGISTRY_TAG) == installation.registry_id:
            message = f"the versions are in {self._place} already: nothing was moved"
            raise Conflict(message)
        if OWNER_TAG not in tags and self._target.trainings():
            message = f"{self._place} has versions: set CINECLUB_MODEL_NAME to a name that is not used there"
            raise Conflict(message)
        wanted = {
            REGISTRY_TAG: tags.get(REGISTRY_TAG, str(uuid.uuid4())),
            COPIED_TAG: tags.get(COPIED_TAG, "0"),
            OWNER_TAG: installation.installation_id,
        }
        self._target.open(wanted)
        self._target.tag_model(wanted)
        return wanted[REGISTRY_TAG], int(wanted[COPIED_TAG])

    def _place_number(self, number: int, key: VersionKey | None) -> None:
        """Give a number of the target to its version, or reserve it; nothing where an earlier attempt did that."""
        if self._tags_of(number) is not None:
            return
        made = self._made(number, key)
        if made != number:
            message = (
                f"{self._place} gave the number {made} where {number} was due, so it had versions before: set "
                "CINECLUB_MODEL_NAME to a name that was never used there and run the command again"
            )
            raise Conflict(message)

    def _made(self, number: int, key: VersionKey | None) -> int:
        """Make the version of a number, and return the number that the target gave."""
        if key is not None:
            with suppress(BrokenArtifact):
                return self._parts.copy(number)
        with suppress(BrokenArtifact, NotFound):
            return self._parts.rebuild(self._promotions.version(number).registered)
        return self._parts.reserve()

    def _remove_reserved(self, number: int) -> None:
        """Delete a reserved version: its number stays taken."""
        if RESERVED_TAG in (self._tags_of(number) or {}):
            self._target.delete(number)

    def _verified(self, last: int) -> list[int]:
        """Return the versions of the target, each with the hash that PostgreSQL recorded and with sound files.

        Raises:
            Conflict: a version is not the recorded one, or its files are damaged.
        """
        numbers = [number for number in range(1, last + 1) if self._tags_of(number) is not None]
        recorded = self._promotions.manifests()
        for number in numbers:
            try:
                self._verify(self._target.version(number), recorded)
            except BrokenArtifact as error:
                message = f"the copy of version {number} is not sound ({error}): delete {self._place} and move again"
                raise Conflict(message) from error
        return numbers

    def _verify(self, version: RegisteredVersion, recorded: Collection[VersionKey]) -> None:
        """Check a version of the target; raise BrokenArtifact if it is not the recorded one or its files are not."""
        if version.key not in recorded:
            message = f"version {version.version} does not have the hash that cineclub recorded"
            raise BrokenArtifact(message)
        self._parts.verify(version)

    def _set_aliases(self, moved: list[int]) -> None:
        """Let the aliases of the target name the versions that they named, and ``production`` what serves."""
        for name, number in self._parts.source_aliases().items():
            if number in moved:
                self._parts.set_alias(name, number)
        serving = self._promotions.newest()
        served = serving.version if serving and serving.version in moved else None
        if served is not None:
            self._target.move_alias(served)
        self._promotions.note_alias_moved(served)

    def _tags_of(self, number: int) -> Mapping[str, str] | None:
        """Return the tags of a version of the target; None where there is no such version."""
        try:
            return self._target.tags(number)
        except NotFound:
            return None

    def _is_listed(self, number: int) -> bool:
        """Return whether a version was not withdrawn."""
        try:
            self._promotions.version(number)
        except NotFound:
            return False
        return True
