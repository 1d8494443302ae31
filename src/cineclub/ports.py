"""The Protocols of the flows: parts from outside that have several implementations, or whose faults tests force."""

from collections.abc import AsyncIterator, Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cineclub.domain.drift.records import Baselines, CheckOrigin, DriftCheck, PastCheck
from cineclub.domain.drift.statistics import Baseline
from cineclub.domain.promotion.ownership import Installation, RegistryPlace
from cineclub.domain.promotion.records import Compared, NewPromotion, Promotion, RequestedBy, ServableCopy
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion, VersionKey, VersionRecord
from cineclub.domain.ratings.import_counts import ImportProgress
from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.log import Movie, RatingScale, Snapshot, SnapshotIdentity, UserRatings
from cineclub.domain.recommend.impressions import ShownMovies
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommendations import ServedResponse
from cineclub.domain.recommend.recommender import FittedModel, Progress
from cineclub.domain.recommend.records import PopularMovie


class RatingStore(Protocol):
    """All ratings and films, read for a training."""

    def load_snapshot(self, progress: Progress) -> Snapshot:
        """Return all ratings and films of one moment, or raise ``StorageUnavailable`` or ``NotEnoughData``."""
        ...


class RatingSource(Protocol):
    """A source of ratings: a release, a plain file, the demo data."""

    @property
    def scale(self) -> RatingScale | None:
        """The scale that the source or its reader states; None where neither does."""
        ...

    def read(self, scale: RatingScale, progress: ImportProgress) -> ImportedRatings:
        """Return all rows, each checked against the scale, or raise ``InvalidInput`` for unreadable files."""
        ...


class HistoryReader(Protocol):
    """The ratings that users have given by now, and the films shown to them, read on the request path; async.

    Its methods raise ``StorageUnavailable`` while PostgreSQL does not answer.
    """

    async def ratings_of(self, user_id: str) -> UserRatings:
        """Return all ratings of the user with this external id; none for an unknown user."""
        ...

    async def ratings_of_many(self, user_ids: Sequence[str]) -> Mapping[str, UserRatings]:
        """Return the same for many users, by external id; users without ratings are missing."""
        ...

    async def shown_to(self, user_id: str) -> ShownMovies:
        """Return the films that a user was shown lately; none for an unknown user."""
        ...

    def users(self) -> AsyncIterator[list[str]]:
        """Yield the external ids of all users, some hundreds at a time."""
        ...

    async def popular(self, limit: int, also: Sequence[int] = ()) -> list[PopularMovie]:
        """Return the most popular movies by damped popularity, and others by internal id, for lists without a model."""
        ...


class ResponseObserver(Protocol):
    """A receiver of every served response; never waits and never fails."""

    def observe(self, served: ServedResponse) -> None:
        """Take a response, or drop it and count that."""
        ...

    def forget(self, user_id: str) -> None:
        """Drop everything that names a user who is erased."""
        ...


class DriftStore(Protocol):
    """Records of baselines, checks and alerts; async, and every method raises StorageUnavailable without PostgreSQL."""

    async def baselines(self) -> Baselines:
        """Return the baseline of the promotion in production, and the pinned one."""
        ...

    async def pin(self, pinned: int | Baseline | None) -> None:
        """Pin the baseline of a version, or one that was taken just now, in place of the pinned one; None unpins.

        Raises:
            NotFound: there is no such version, or it has no baseline.
        """
        ...

    async def baseline_of_length(self, baseline_id: int, window_days: float) -> Baseline | None:
        """Return a baseline with windows of another length, if that was computed before."""
        ...

    async def keep_length(self, baseline_id: int, baseline: Baseline) -> None:
        """Store a baseline with windows of another length."""
        ...

    async def record(self, check: DriftCheck, origin: CheckOrigin, *, is_usual: bool) -> int:
        """Store a check, and return its id."""
        ...

    async def recent(self, limit: int, before: int | None = None) -> list[PastCheck]:
        """Return the checks, newest first, those before the one with this id if it is given."""
        ...

    async def last(self, origin: CheckOrigin | None = None) -> PastCheck | None:
        """Return the newest check with the parameters of the settings, of any origin or of one."""
        ...

    async def claim_notice(self, check_id: int, cooldown: timedelta) -> bool:
        """Claim the notice of an alert, and return whether it was free: none was sent within the cool-down.

        ``settle_notice`` ends the claim; without that it expires after two minutes.
        """
        ...

    async def settle_notice(self, check_id: int, *, is_sent: bool) -> None:
        """Record that the notice was sent, or that it was not, so that the next alert is tried again."""
        ...

    async def note_followed(self, check_id: int) -> None:
        """Record that every action of an alert was taken; no effect while another process sends its notice."""
        ...

    async def unfollowed(self, cooldown: timedelta) -> PastCheck | None:
        """Return the newest alert of the service's own checks within the cool-down of which an action is missing."""
        ...

    async def start_training(self, check_id: int, reason: str, cooldown: timedelta) -> str | None:
        """Queue a training because of drift, and return its id; None while one is under way or in the cool-down."""
        ...


ArraysFolder = Path
"""A folder with the arrays of a version."""

Artifact = tuple[ArraysFolder, str]
"""The folder of an artifact, and the SHA-256 of its manifest."""

Download = Callable[[RegisteredVersion, Path], ArraysFolder]
"""Downloads the arrays of a version into a folder and returns where they lie."""


class ModelRegistry(Protocol):
    """The model registry: versions with their files and runs, and the alias ``production``.

    Its methods raise ``RegistryUnavailable`` where it does not answer, ``NotFound`` for an unknown version, and
    ``BrokenArtifact`` for a version that cineclub did not register or whose files are gone.
    """

    def open(self, tags: Mapping[str, str] | None = None) -> None:
        """Create the experiment and the registered model, which gets the tags, where they are missing."""
        ...

    def model_tags(self) -> Mapping[str, str] | None:
        """Return the tags of the registered model; None where there is none."""
        ...

    def tag_model(self, tags: Mapping[str, str]) -> None:
        """Put tags on the registered model."""
        ...

    def trainings(self) -> Mapping[VersionKey, str]:
        """Return the training of each version registered by cineclub; empty where the version has none."""
        ...

    def register(
        self,
        training_id: str,
        fitted: FittedModel,
        movies: Sequence[Movie],
        record: VersionRecord,
        artifact: Artifact,
    ) -> KnownVersion:
        """Upload an artifact (its folder, the SHA-256 of its manifest) with its record as a new version."""
        ...

    def delete(self, version: int) -> None:
        """Delete a version that never served."""
        ...

    def versions(self, training_id: str = "", excluding: Container[int] = ()) -> Iterable[KnownVersion]:
        """Yield the versions registered by cineclub: all, or those of one training."""
        ...

    def version(self, version: int) -> RegisteredVersion:
        """Return a version as its tags in the registry describe it."""
        ...

    def tags(self, version: int) -> Mapping[str, str]:
        """Return the tags of a version."""
        ...

    def download(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download the arrays of a version into a folder and return where they lie."""
        ...

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record an evaluated candidate as a child run of the training's run."""
        ...

    def alias(self) -> int | None:
        """Return the version under the alias ``production``; None where there is no alias."""
        ...

    def move_alias(self, version: int | None) -> None:
        """Make the alias ``production`` name a version; None removes it."""
        ...


class ModelStore(Protocol):
    """Model artifacts on the local disk: the copies that serve, and artifacts about to be registered.

    Its methods raise ``BrokenArtifact`` for files that are missing or damaged.
    """

    def written(
        self, fitted: FittedModel, movies: Sequence[Movie], snapshot: SnapshotIdentity
    ) -> AbstractContextManager[tuple[Path, str]]:
        """Write an artifact; return its folder, which is deleted afterwards, and the SHA-256 of its manifest."""
        ...

    def has_copy(self, version: int, manifest_sha256: str) -> bool:
        """Return whether there is a local copy of a version."""
        ...

    def bring_home(self, version: RegisteredVersion, download: Download) -> None:
        """Verify the local copy of a version in a fresh process; download it where it is missing or damaged."""
        ...

    def load(self, version: RegisteredVersion, download: Download) -> FittedModel:
        """Return the model of a version from its local copy, else from the registry."""
        ...

    def read(
        self, version: int, manifest_sha256: str, artifact_folder: str = ""
    ) -> tuple[FittedModel, Mapping[int, Movie]]:
        """Return the model of a local copy, with its movies by internal id."""
        ...

    def keep_only(self, names: Collection[str]) -> None:
        """Delete every other local copy, and the unfinished files of killed processes."""
        ...

    def note_served(self, promotion: Promotion, *, movie_ids_are_integers: bool) -> None:
        """Write down which version serves, for a start without a database."""
        ...

    def servable_copies(self) -> Sequence[ServableCopy]:
        """Return the local copies that can serve without a database: the last one that served, then the newest."""
        ...


class PromotionHistory(Protocol):
    """Promotions, registered versions, refusals, and the record of the registry's alias, in one database.

    The newest promotion decides which version serves. The methods raise ``StorageUnavailable`` while PostgreSQL does
    not answer.
    """

    def newest(self) -> Promotion | None:
        """Return the promotion that decides which version serves; None before the first."""
        ...

    def recent(self, limit: int, before: int | None = None) -> list[Promotion]:
        """Return the promotions, newest first, those recorded before the one with this id if it is given."""
        ...

    def record(self, promotion: NewPromotion, compared: Compared | None = None) -> Promotion:
        """Record a promotion and return it, or raise ``Conflict``, ``LeaseLost`` or ``TrainingCancelled``."""
        ...

    def refuse(self, version: int, asked_by: RequestedBy, reason: str) -> bool:
        """Record that a promotion was refused; return False where the newest refusal says the same."""
        ...

    def check_lease(self, training_id: str) -> None:
        """Raise ``LeaseLost`` where the training is another worker's by now."""
        ...

    def version(self, version: int) -> KnownVersion:
        """Return a version, or raise ``NotFound``."""
        ...

    def note_version(self, known: KnownVersion) -> None:
        """Record a version once; another one of the same training and role is withdrawn."""
        ...

    def keep_statistics(self, version: RegisteredVersion, statistics: str) -> None:
        """Record the statistics of the ratings that a version was fitted on, as JSON, once."""
        ...

    def withdraw(self, version: RegisteredVersion) -> None:
        """Mark a version that its training has replaced before it ever served."""
        ...

    def noted_since(self) -> datetime:
        """Return the time since which every version is recorded when it is registered."""
        ...

    def manifests(self) -> set[VersionKey]:
        """Return the identity of every version that was ever recorded."""
        ...

    def challenger(self) -> KnownVersion | None:
        """Return the version that might serve next; None where there is none."""
        ...

    def installation(self) -> Installation:
        """Return the identity of this installation, and its registry."""
        ...

    def record_registry(self, registry_id: str, place: RegistryPlace) -> None:
        """Record the registry that has the installation's versions from now on."""
        ...

    def own_trainings(self, training_ids: Collection[str]) -> set[str]:
        """Return those of these trainings that this installation knows."""
        ...

    def alias_lock(self, wait_seconds: float) -> AbstractContextManager[bool]:
        """Hold the lock under which the alias is moved; False where another process still held it after the wait."""
        ...

    def recorded_alias(self) -> set[int | None]:
        """Return the versions that the alias can name if only cineclub moved it; None stands for no alias."""
        ...

    def note_alias_moving(self, version: int | None) -> None:
        """Record the version that the alias is about to be set to."""
        ...

    def note_alias_moved(self, version: int | None) -> None:
        """Record the version that the alias was set to; None where it was removed."""
        ...
