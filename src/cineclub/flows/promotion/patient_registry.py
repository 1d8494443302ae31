"""A registry whose outages are waited for."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion, VersionKey, VersionRecord
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.ports import ArraysFolder, Artifact, ModelRegistry

Repeat: TypeAlias = Callable[[Callable[[], Any]], Any]
"""Returns the outcome of an action, repeated while the registry does not answer."""


class PatientRegistry:
    """Repeats the calls of a registry while it does not answer; implements the port ``ModelRegistry``.

    A registration is not repeated here: an attempt that was cut off may have registered the version, which its caller
    looks up first. Neither are the calls about the alias, which follows the promotions later by itself.
    """

    def __init__(self, registry: ModelRegistry, repeat: Repeat) -> None:
        """Repeat the calls of this registry."""
        self._registry = registry
        self._repeat = repeat

    def open(self, tags: Mapping[str, str] | None = None) -> None:
        """Create the experiment and the registered model, which gets the tags, where they are missing."""
        self._repeat(partial(self._registry.open, tags))

    def model_tags(self) -> Mapping[str, str] | None:
        """Return the tags of the registered model; None where there is none."""
        tags: Mapping[str, str] | None = self._repeat(self._registry.model_tags)
        return tags

    def tag_model(self, tags: Mapping[str, str]) -> None:
        """Put tags on the registered model."""
        self._repeat(partial(self._registry.tag_model, tags))

    def trainings(self) -> Mapping[VersionKey, str]:
        """Return the training of each version registered by cineclub."""
        trainings: Mapping[VersionKey, str] = self._repeat(self._registry.trainings)
        return trainings

    def register(
        self,
        training_id: str,
        fitted: FittedModel,
        movies: Sequence[Movie],
        record: VersionRecord,
        artifact: Artifact,
    ) -> KnownVersion:
        """Upload an artifact with its record as a new version, once."""
        return self._registry.register(training_id, fitted, movies, record, artifact)

    def delete(self, version: int) -> None:
        """Delete a version that never served."""
        self._repeat(partial(self._registry.delete, version))

    def versions(self, training_id: str = "", excluding: Container[int] = ()) -> Iterable[KnownVersion]:
        """Return the versions registered by cineclub: all, or those of one training."""
        known: list[KnownVersion] = self._repeat(lambda: list(self._registry.versions(training_id, excluding)))
        return known

    def version(self, version: int) -> RegisteredVersion:
        """Return a version as its tags in the registry describe it."""
        registered: RegisteredVersion = self._repeat(partial(self._registry.version, version))
        return registered

    def tags(self, version: int) -> Mapping[str, str]:
        """Return the tags of a version."""
        tags: Mapping[str, str] = self._repeat(partial(self._registry.tags, version))
        return tags

    def download(self, version: RegisteredVersion, folder: ArraysFolder) -> ArraysFolder:
        """Download the arrays of a version into a folder and return where they lie."""
        arrays: ArraysFolder = self._repeat(partial(self._registry.download, version, folder))
        return arrays

    def record_candidate(self, training_id: str, recipe: Recipe, metrics: Mapping[str, float]) -> None:
        """Record an evaluated candidate as a child run of the training's run."""
        self._repeat(partial(self._registry.record_candidate, training_id, recipe, metrics))

    def alias(self) -> int | None:
        """Return the version under the alias ``production``, without waiting."""
        return self._registry.alias()

    def move_alias(self, version: int | None) -> None:
        """Make the alias ``production`` name a version, without waiting."""
        self._registry.move_alias(version)
