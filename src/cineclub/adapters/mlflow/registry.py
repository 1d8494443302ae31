"""Versions of the model in MLflow's registry, and the alias that names the one in production."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from mlflow.entities.model_registry import ModelVersion

from cineclub.adapters.mlflow.alias import ProductionAlias
from cineclub.adapters.mlflow.client import MODEL, connect, registry_errors
from cineclub.adapters.mlflow.descriptions import (
    CHALLENGER,
    known_version,
    registered_version,
    role_of,
    snapshot_of,
)
from cineclub.adapters.mlflow.history import History
from cineclub.adapters.mlflow.local_copies import ArtifactReading, LocalCopies
from cineclub.adapters.mlflow.packaging import ARRAYS, write_package
from cineclub.adapters.mlflow.runs import TrainingRuns
from cineclub.domain.errors import (
    BrokenArtifact,
    CineclubError,
    Conflict,
    LeaseLost,
    NotFound,
    StorageUnavailable,
)
from cineclub.domain.ratings import Movie, SnapshotIdentity
from cineclub.domain.recipe import Recipe
from cineclub.domain.recommender import FittedModel
from cineclub.domain.rollback import ROLLBACK, rollback_target
from cineclub.ports import (
    Asker,
    Compared,
    NewPromotion,
    PromotedBy,
    Promotion,
    RegisteredVersion,
    VersionRecord,
)

log = logging.getLogger(__name__)

STATISTICS = "statistics.json"
SHORT_HASH = 12
COPIES_KEPT = 3
PROMOTIONS_LOOKED_AT = 1000
OUTSIDE_VERDICT = "OUTSIDE"
MOVED_OUTSIDE = "the alias was moved outside of cineclub"
ASKERS: Mapping[PromotedBy, Asker] = {"person": "person", "probation": "probation"}
"""Who asked for a promotion that is refused; the gate where a training did."""

SECONDS_OF_WAITING = 30.0
"""How long a promotion waits for somebody else who is moving the alias before it leaves the move to the worker."""


class ArtifactFormat(ArtifactReading, Protocol):
    """How a model becomes files and comes back; ``cineclub.adapters.artifacts`` is one."""

    def write_artifact(
        self, folder: Path, fitted: FittedModel, movies: Sequence[Movie], snapshot_identity: SnapshotIdentity
    ) -> str:
        """Write a folder and return the SHA-256 of its manifest."""
        ...


class MlflowRegistry:
    """Implements the port ``ModelRegistry``, and keeps the alias where the promotions say."""

    def __init__(
        self,
        tracking_uri: str,
        home: Path,
        artifacts: ArtifactFormat,
        promotions: History,
        *,
        keeps_challenger: bool = False,
    ) -> None:
        """Use a store or server; a server keeps artifacts by itself, else they lie in ``home``.

        With ``keeps_challenger`` this machine has a copy of the challenger too, for the API to ask it in the shadow.
        """
        self._keeps_challenger = keeps_challenger
        self._client = connect(tracking_uri)
        self._artifacts = artifacts
        self._promotions = promotions
        self._versions = promotions.versions
        self._copies = LocalCopies(tracking_uri, self._client, home, artifacts)
        self._alias = ProductionAlias(self._client, promotions.alias)
        self._has_noted_all = False
        is_server = tracking_uri.startswith(("http://", "https://"))
        self._runs = TrainingRuns(self._client, None if is_server else home.resolve() / "artifacts")

    def open(self) -> None:
        """Make MLflow's tables, the experiment and the registered model where they are missing: seconds the first time.

        Raises:
            RegistryUnavailable: the store does not answer.
        """
        with registry_errors("the experiment cineclub"):
            self._runs.experiment_id()
            if not self._client.search_registered_models(f"name = '{MODEL}'"):
                self._client.create_registered_model(MODEL, description="The film recommender that cineclub serves.")

    def production(self) -> RegisteredVersion | None:
        """Return the version that was promoted last; None before the first promotion.

        Raises:
            NotFound: nothing is known of it any more.
        """
        serving = self._promotions.newest()
        if serving is None:
            return None
        with suppress(NotFound):
            known = self._versions.get(serving.version).registered
            if known.manifest_sha256 == serving.manifest_sha256:
                return known
        return self._version(serving.version)

    def aliased(self) -> RegisteredVersion | None:
        """Return the version under the alias ``production``; None where there is no alias.

        Raises:
            BrokenArtifact: somebody else registered it.
        """
        found = self._alias.found()
        return None if found is None else registered_version(found)

    def load(self, version: int) -> FittedModel:
        """Return a version's model, checked against its manifest.

        Raises:
            NotFound: no such version.
            BrokenArtifact: its files are damaged.
        """
        return self._copies.load(self._version(version))

    def tags(self, version: int) -> Mapping[str, str]:
        """Return what is recorded with a version.

        Raises:
            NotFound: no such version.
        """
        with registry_errors(f"version {version}"):
            return dict(self._client.get_model_version(MODEL, str(version)).tags)

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record one judged candidate as a child run of the training's run."""
        with registry_errors(f"the run of training {training_id}"):
            self._runs.record_candidate(training_id, recipe, metrics)

    def register(
        self, training_id: str, fitted: FittedModel, movies: Sequence[Movie], record: VersionRecord
    ) -> RegisteredVersion:
        """Write the artifact and register it as a new version; a training registers once in each role."""
        with self._copies.temporary_folder() as folder, registry_errors(f"the run of training {training_id}"):
            sha256 = self._artifacts.write_artifact(folder / ARRAYS, fitted, movies, snapshot_of(record.tags))
            self._promotions.check_lease(training_id)
            made = self._of_training(training_id, role_of(record.tags), sha256)
            if made is None:
                write_package(folder, fitted, movies)
                made = self._register_once(training_id, fitted.recipe, folder, sha256, record)
        self._versions.note(known_version(made, record.metrics))
        registered = registered_version(made)
        if statistics := record.documents.get(STATISTICS):
            self._versions.keep_statistics(registered, statistics)
        return registered

    def promote(
        self,
        training_id: str,
        version: RegisteredVersion,
        verdict: str,
        reason: str,
        compared_with: RegisteredVersion | None,
    ) -> None:
        """Check the artifact in a fresh process, record the promotion, then let the alias follow.

        Raises:
            BrokenArtifact: the artifact did not load or answered otherwise than the fitted model; that is on record.
            Conflict: what serves by now is not what the version was compared with.
            LeaseLost: the training belongs to another worker by now.
            TrainingCancelled: a person stopped the training before the promotion.
        """
        serving = None if compared_with is None else (compared_with.version, compared_with.manifest_sha256)
        self._promote(version, verdict, reason, "gate", training_id, Compared(serving))

    def roll_back(self, version: int, reason: str, promoted_by: PromotedBy, compared: Compared | None = None) -> None:
        """Put an earlier version into production because a person wants it, or probation found it better.

        Raises:
            NotFound: no such version.
            BrokenArtifact: it cannot be served; that is on record.
            Conflict: what serves by now is not what it was compared with.
        """
        self._promote(self._version(version), ROLLBACK, reason, promoted_by, None, compared)

    def put_into_production(self, version: int, reason: str, promoted_by: PromotedBy) -> None:
        """Put any registered version into production because a person wants it, whatever the gate said of it.

        Raises:
            NotFound: no such version.
            BrokenArtifact: it cannot be served; that is on record.
        """
        self._promote(self._version(version), "PROMOTE", reason, promoted_by, None)

    def _promote(
        self,
        version: RegisteredVersion,
        verdict: str,
        reason: str,
        promoted_by: PromotedBy,
        training_id: str | None,
        compared: Compared | None = None,
    ) -> None:
        """Verify a version, record the promotion, and let the alias follow; a refusal is on record."""
        try:
            folder = self._bring_home(version)
        except BrokenArtifact as error:
            asker = ASKERS.get(promoted_by, "gate")
            self._versions.refuse(version.version, asker, str(error))
            log.error("promotion_refused version=%s asked_by=%s cause=%s", version.version, asker, error)  # noqa: TRY400 - the cause is in the message
            raise
        self._promotions.record(
            NewPromotion(
                version=version.version,
                verdict=verdict,
                reason=reason,
                promoted_by=promoted_by,
                training_id=training_id,
                recipe=version.recipe,
                manifest_sha256=version.manifest_sha256,
                artifact_folder=folder.name,
            ),
            compared,
        )
        self.follow_promotion()

    def follow_promotion(self) -> None:
        """Let the alias name what was promoted last, and tidy up.

        The promotion stands whatever happens here: what cannot be done now, the worker does at its next look.
        """
        try:
            with self._alias.memory.alone(SECONDS_OF_WAITING) as is_alone:
                if is_alone and (serving := self._promotions.newest()) is not None:
                    self._overrule(serving)
                    self._move_alias(serving.version)
            self._forget_old_copies()
        except (CineclubError, OSError) as error:
            log.warning("alias_follows_later cause=%s", error)

    def reconcile(self) -> str | None:
        """Bring alias and promotions together, where a crash or somebody outside moved one alone; say what was done.

        An alias that is where we left it follows the promotions. One that somebody else moved is served if it names a
        version of ours that is whole; else that is refused, on record, and the alias goes back.

        Raises:
            RegistryUnavailable: the store does not answer.
            StorageUnavailable: PostgreSQL does not answer.
        """
        self._note_earlier_versions()
        with self._alias.memory.alone(0) as is_alone:
            done = self._reconcile() if is_alone else None
        self._bring_challenger_home()
        return done

    def _bring_challenger_home(self) -> None:
        """Make sure that this machine has a copy of the challenger; one that is broken is refused, on record."""
        known = self._versions.challenger() if self._keeps_challenger else None
        if known is None or self._copies.folder_of(known.registered).is_dir():
            return
        try:
            self._bring_home(known.registered)
        except BrokenArtifact as error:
            version = known.registered.version
            self._versions.refuse(version, "gate", f"it cannot be asked in the shadow: {error}")
            log.error("challenger_refused version=%s cause=%s", version, error)  # noqa: TRY400 - the cause says it all

    def _reconcile(self) -> str | None:
        """Compare where the alias was left, where it is, and what was promoted last."""
        ours = self._alias.memory.ours()
        found = self._alias.found()
        number = int(found.version) if found else None
        serving = self._promotions.newest()
        if found is not None and serving is not None and number == serving.version and number in ours:
            return self._keep(found, serving)
        if found is None or number in ours:
            return self._move_to(serving, found)
        try:
            self._take_over(found, serving)
        except Conflict as error:  # somebody decided meanwhile: the alias follows that, and this move is refused there
            return str(error)
        except BrokenArtifact as error:
            self._refuse_outside(int(found.version), str(error))
            return f"{self._move_to(serving, found)}; {error}"
        return f"version {number} was found under the alias and is served now"

    def _refuse_outside(self, version: int, reason: str) -> None:
        """Put on record that a move outside is not followed; once, however often it is looked at."""
        if self._versions.refuse(version, "outside", reason):
            log.error("promotion_refused version=%s asked_by=outside cause=%s", version, reason)

    def _keep(self, found: ModelVersion, serving: Promotion) -> str | None:
        """Make sure that what all agree on has its copy on this machine."""
        if self._alias.memory.ours() != {serving.version}:
            self._alias.memory.has_moved(serving.version)
        try:
            registered = registered_version(found)
            if not self._copies.folder_of(registered).is_dir():
                self._bring_home(registered)
        except BrokenArtifact as error:
            return f"version {serving.version} serves from what is loaded, but its artifact is broken: {error}"
        return None

    def _move_to(self, serving: Promotion | None, found: ModelVersion | None) -> str | None:
        """Point the alias to what serves."""
        named = f"the alias named {f'version {found.version}' if found else 'nothing'}"
        if serving is not None:
            self._move_alias(serving.version)
            return f"{named}: it names version {serving.version} now, which serves"
        if found is None:
            return None
        self._alias.take_away()
        return f"{named}: it was taken away, nothing is in production"

    def _take_over(self, found: ModelVersion, serving: Promotion | None) -> None:
        """Serve what somebody put under the alias, if it is a version of ours and whole."""
        version = registered_version(found)
        if (version.version, version.manifest_sha256) not in self._versions.manifests():
            message = f"version {version.version} does not have the hash that cineclub registered: it was changed"
            raise BrokenArtifact(message)
        folder = self._bring_home(version)
        before = f"version {serving.version} served before" if serving else "nothing served before"
        self._promotions.record(
            NewPromotion(
                version=version.version,
                verdict=OUTSIDE_VERDICT,
                reason=f"{MOVED_OUTSIDE}; {before}",
                promoted_by="outside",
                training_id=None,
                recipe=version.recipe,
                manifest_sha256=version.manifest_sha256,
                artifact_folder=folder.name,
            ),
            Compared((serving.version, serving.manifest_sha256) if serving else None),
        )
        self._alias.memory.has_moved(version.version)
        self._forget_old_copies()

    def _overrule(self, serving: Promotion) -> None:
        """Put on record that the alias had been moved outside just before a promotion, which stands."""
        found = self._alias.found()
        if found is None or int(found.version) in {*self._alias.memory.ours(), serving.version}:
            return
        reason = f"{MOVED_OUTSIDE}, but version {serving.version} was promoted since: that promotion stands"
        self._refuse_outside(int(found.version), reason)

    def _forget_old_copies(self) -> None:
        """Delete the local copies of all but the versions that served last, and that a rollback would go to."""
        with suppress(OSError, StorageUnavailable):  # the next promotion tidies up
            history = self._promotions.recent(PROMOTIONS_LOOKED_AT)
            names = list(dict.fromkeys(promotion.artifact_folder for promotion in history))[:COPIES_KEPT]
            before = rollback_target(history)
            challenger = self._versions.challenger() if self._keeps_challenger else None
            kept = [before.artifact_folder] if before else []
            self._copies.forget_all_but({*names, *kept, *([challenger.registered.copy_name] if challenger else [])})

    def _bring_home(self, version: RegisteredVersion) -> Path:
        """Return the verified local copy of a version."""
        return self._copies.bring_home(version)

    def _move_alias(self, version: int) -> None:
        """Let the alias ``production`` name a version."""
        self._alias.move(version)

    def _register_once(
        self, training_id: str, recipe: Recipe, artifact: Path, sha256: str, record: VersionRecord
    ) -> ModelVersion:
        """Register a written artifact; undone if another worker took the training over meanwhile."""
        self._promotions.check_lease(training_id)
        made = self._register(training_id, recipe, artifact, sha256, record)
        try:
            self._promotions.check_lease(training_id)
        except LeaseLost:
            self._client.delete_model_version(MODEL, str(made.version))
            raise
        return made

    def _register(
        self, training_id: str, recipe: Recipe, artifact: Path, sha256: str, record: VersionRecord
    ) -> ModelVersion:
        """Upload a written artifact with its documents, and register it."""
        run = self._runs.of_training(training_id)
        path = f"model-{sha256[:SHORT_HASH]}"
        self._client.log_artifacts(run.info.run_id, str(artifact), path)
        for name, text in record.documents.items():
            self._client.log_text(run.info.run_id, text, name)
            self._client.log_text(run.info.run_id, text, f"{path}/{name}")
        self._runs.record(run.info.run_id, recipe, record.metrics, record.tags)
        role = role_of(record.tags)
        tags = {**record.tags, "role": role, "training_id": training_id, "recipe": recipe.to_json()}
        tags["manifest_sha256"] = sha256
        source = f"{run.info.artifact_uri}/{path}"
        made = self._client.create_model_version(MODEL, source, run.info.run_id, tags, description=str(recipe))
        if role == CHALLENGER:
            self._client.set_registered_model_alias(MODEL, CHALLENGER, made.version)
        return made

    def _of_training(self, training_id: str, role: str, sha256: str) -> ModelVersion | None:
        """Return what an earlier attempt of a training registered in a role, unless it was another model, unserved."""
        served = {promotion.version for promotion in self._promotions.recent(PROMOTIONS_LOOKED_AT)}
        for found in self._search(f"tags.training_id = '{training_id}'"):
            if role_of(found.tags) != role:
                continue
            registered = registered_version(found)
            if registered.manifest_sha256 == sha256 or registered.version in served:
                return found
            self._client.delete_model_version(MODEL, str(registered.version))
            self._versions.withdraw(registered)
        return None

    def _note_earlier_versions(self) -> None:
        """Keep what is known of versions that were registered before cineclub wrote that down, once a process.

        What came to MLflow later without being noted is not ours, whatever its tags say.
        """
        if self._has_noted_all:
            return
        known, since = {version for version, _ in self._versions.manifests()}, self._versions.noted_since()
        with registry_errors("the versions"):
            for found in self._search():
                if int(found.version) not in known and found.creation_timestamp < since.timestamp() * 1000:
                    with suppress(BrokenArtifact):  # somebody else's version
                        self._versions.note(known_version(found, self._runs.metrics_of(found.run_id)))
        self._has_noted_all = True

    def _search(self, condition: str = "") -> Iterable[ModelVersion]:
        """Yield the registered versions that meet a condition."""
        wanted, token = " and ".join(filter(None, [f"name = '{MODEL}'", condition])), None
        while True:
            page = self._client.search_model_versions(wanted, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _version(self, version: int) -> RegisteredVersion:
        """Return what was registered under a number, with the hash that cineclub wrote down."""
        self._note_earlier_versions()
        return self._versions.get(version).registered
