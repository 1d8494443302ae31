"""Registered versions: registering the model of a training once, and loading any version again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from cineclub.domain.errors import ForeignRegistry, LeaseLost, NotFound
from cineclub.domain.promotion.ownership import OWNER_TAG, RegistryPlace, VersionEvidence, decide_ownership
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion, VersionRecord
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.flows.promotion.patient_registry import PatientRegistry, Repeat
from cineclub.ports import Artifact, ModelRegistry, ModelStore, PromotionHistory

STATISTICS = "statistics.json"
PROMOTIONS_READ = 1000


class RegistrationFlow:
    """The versions of one registry, with their records in PostgreSQL and their copies on the local disk.

    Its methods raise what registry, model store and promotion history raise; ``NotFound`` for an unknown version.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        store: ModelStore,
        promotions: PromotionHistory,
        place: RegistryPlace | None = None,
    ) -> None:
        """Use this registry at ``place`` (None: in PostgreSQL), this model store and this promotion history."""
        self.registry = registry
        self.store = store
        self.promotions = promotions
        self.place = place or RegistryPlace()
        self._has_noted_earlier = False
        self._repeat: Repeat = lambda action: action()

    def waiting(self, repeat: Repeat) -> "RegistrationFlow":
        """Return the same versions, for which a registry that does not answer is waited for."""
        patient = RegistrationFlow(PatientRegistry(self.registry, repeat), self.store, self.promotions, self.place)
        patient._repeat = repeat
        return patient

    def open(self) -> None:
        """Create what the registry lacks, as this installation's.

        Raises:
            ForeignRegistry: the registered model is another installation's, or does not have this one's versions.
        """
        self.check_registry()
        self.registry.open(self.promotions.installation().tags)
        self.check_registry()

    def check_registry(self) -> None:
        """Check that the registered model is this installation's, and put its tags on one without owner.

        Raises:
            ForeignRegistry: it is another installation's, or does not have this one's versions.
        """
        if self.is_unclaimed():
            installation = self.promotions.installation()
            self.registry.tag_model(installation.tags)
            self.promotions.record_registry(installation.registry_id, self.place)

    def is_unclaimed(self) -> bool:
        """Return whether there is a registered model that may become this installation's; change nothing.

        Raises:
            ForeignRegistry: it is another installation's, or does not have this one's versions.
        """
        installation, tags = self.promotions.installation(), self.registry.model_tags()
        evidence = VersionEvidence()
        if installation.place is None and OWNER_TAG not in (tags or {}) and not self.place.is_own_store:
            evidence = self._evidence(is_empty=tags is None)
        decision = decide_ownership(installation, self.place, tags, evidence)
        if decision.action == "refuse":
            raise ForeignRegistry(decision.message, decision.detail)
        return decision.action == "claim" and tags is not None

    def _evidence(self, *, is_empty: bool) -> VersionEvidence:
        """Return the versions on both sides."""
        recorded = self.promotions.manifests()
        trainings = {} if is_empty else self.registry.trainings()
        own = self.promotions.own_trainings(set(trainings.values()))
        own_keys = {key for key, training_id in trainings.items() if key in recorded or training_id in own}
        return VersionEvidence(set(trainings), recorded, own_keys)

    def production(self) -> RegisteredVersion | None:
        """Return the version that was promoted last; None before the first promotion."""
        serving = self.promotions.newest()
        if serving is None:
            return None
        with suppress(NotFound):
            known = self.promotions.version(serving.version).registered
            if known.key == serving.key:
                return known
        return self.get(serving.version)

    def get(self, version: int) -> RegisteredVersion:
        """Return a version with the hash that cineclub recorded.

        Raises:
            ForeignRegistry: no version is recorded yet, and the registered model is not this installation's.
        """
        self.note_earlier_versions()
        return self.promotions.version(version).registered

    def load(self, version: int) -> FittedModel:
        """Return the model of a version, checked against its manifest."""
        return self.store.load(self.get(version), self.registry.download)

    def bring_home(self, version: RegisteredVersion) -> None:
        """Verify the local copy of a version in a fresh process; download it where it is missing or damaged.

        Raises:
            BrokenArtifact: the registered files do not load, or the scores differ from the fitted model's.
            RegistryUnavailable: there is no sound copy here, and the registry does not answer.
        """
        self.store.bring_home(version, self.registry.download)

    def register(
        self, training_id: str, fitted: FittedModel, movies: Sequence[Movie], record: VersionRecord
    ) -> RegisteredVersion:
        """Write the artifact and register it as a new version; a training registers once in each role.

        Raises:
            LeaseLost: another worker has taken the training over; no version is left behind.
            ForeignRegistry: the registered model is not this installation's, or counts from 1 again; likewise.
        """
        with self.store.written(fitted, movies, record.snapshot) as artifact:
            known: KnownVersion = self._repeat(
                lambda: self._registered_once(training_id, fitted, movies, record, artifact)
            )
        self.promotions.note_version(known)
        if statistics := record.documents.get(STATISTICS):
            self.promotions.keep_statistics(known.registered, statistics)
        return known.registered

    def _registered_once(
        self,
        training_id: str,
        fitted: FittedModel,
        movies: Sequence[Movie],
        record: VersionRecord,
        artifact: Artifact,
    ) -> KnownVersion:
        """Register an artifact, or return the version of an attempt that was cut off after it had registered."""
        self.promotions.check_lease(training_id)
        self.check_registry()
        if earlier := self._of_earlier_attempt(training_id, record, artifact[1]):
            return earlier
        self.promotions.check_lease(training_id)
        known = self.registry.register(training_id, fitted, movies, record, artifact)
        self._delete_if_lease_is_lost(training_id, known)
        self._delete_if_number_is_taken(known)
        return known

    def note_earlier_versions(self) -> None:
        """Record versions that earlier releases registered without recording them in PostgreSQL, once a process.

        A version that appeared in the registry later without being recorded is not ours, whatever its tags say.
        """
        if self._has_noted_earlier:
            return
        self.check_registry()
        recorded, since = {number for number, _ in self.promotions.manifests()}, self.promotions.noted_since()
        for known in self.registry.versions(excluding=recorded):
            if known.registered.created_at < since:
                self.promotions.note_version(known)
        self._has_noted_earlier = True

    def _of_earlier_attempt(self, training_id: str, record: VersionRecord, sha256: str) -> KnownVersion | None:
        """Return the version that an earlier attempt of the training registered in the same role.

        One with other arrays is deleted unless it has served.
        """
        served = {promotion.version for promotion in self.promotions.recent(PROMOTIONS_READ)}
        for known in self.registry.versions(training_id):
            if known.role != record.role:
                continue
            registered = known.registered
            if registered.manifest_sha256 == sha256 or registered.version in served:
                return replace(known, metrics=record.metrics)
            self.registry.delete(registered.version)
            self.promotions.withdraw(registered)
        return None

    def _delete_if_lease_is_lost(self, training_id: str, known: KnownVersion) -> None:
        """Delete a new version where another worker took the training over while it was registered."""
        try:
            self.promotions.check_lease(training_id)
        except LeaseLost:
            self.registry.delete(known.registered.version)
            raise

    def _delete_if_number_is_taken(self, known: KnownVersion) -> None:
        """Delete a new version whose number another version of this installation has."""
        number = known.registered.version
        if known.registered.key in self.promotions.manifests():
            return
        if number in {recorded for recorded, _ in self.promotions.manifests()}:
            self.registry.delete(number)
            message = (
                f"{self.place} gave the number {number} a second time, because its versions were removed: restore "
                "MLflow's database from its backup, or run `cineclub mlflow move --rebuild`"
            )
            raise ForeignRegistry(message)
