"""Fitting a registered version again from the ratings it learned from, and saying whether it is the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cineclub.domain.errors import SnapshotGone
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog
from cineclub.domain.recommender import Progress
from cineclub.domain.reproduction import Reproduction, arrays_of, differences_of, environment_differences
from cineclub.domain.scoreboard import filtered, rng_of
from cineclub.flows import fit_within_memory, library_versions
from cineclub.ports import SnapshotStore, VersionArchive

LOADED, READY = 0.2, 0.3
"""How much of the work loading the ratings is, and loading and filtering them."""


@dataclass(frozen=True, slots=True)
class HowFitted:
    """What a version's tags say of how it was fitted.

    Attributes:
        snapshot_sha256: the ratings that its training read.
        seed: what the random choices of the fit derive from.
        min_ratings_per_user: users with fewer were left out.
        min_ratings_per_movie: films with fewer were left out.
        fitted_before_us: only ratings before this many microseconds since 1970 were used; None for all.
        library_versions: what it was fitted with.
    """

    snapshot_sha256: str
    seed: int
    min_ratings_per_user: int
    min_ratings_per_movie: int
    fitted_before_us: int | None
    library_versions: Mapping[str, str]

    @classmethod
    def of(cls, version: int, tags: Mapping[str, str]) -> "HowFitted":
        """Return what the tags of a version say.

        Raises:
            SnapshotGone: they say too little: an earlier release registered it.
        """
        try:
            cut = tags["fitted_before_us"]
            return cls(
                snapshot_sha256=tags["snapshot_sha256"],
                seed=int(tags["seed"]),
                min_ratings_per_user=int(tags["min_ratings_per_user"]),
                min_ratings_per_movie=int(tags["min_ratings_per_movie"]),
                fitted_before_us=int(cut) if cut else None,
                library_versions=json.loads(tags["library_versions"]),
            )
        except (KeyError, ValueError) as error:
            message = f"version {version} does not say how it was fitted ({error}): an earlier release registered it"
            raise SnapshotGone(message) from error

    def ratings_of(self, log: RatingLog) -> RatingMatrix:
        """Return what the version learned from, out of all ratings of its snapshot."""
        if self.fitted_before_us is not None:
            log = log.take(log.rated_at < self.fitted_before_us)
        return filtered(log, self.min_ratings_per_user, self.min_ratings_per_movie)[0]


def reproduce(version: int, versions: VersionArchive, snapshots: SnapshotStore, progress: Progress) -> Reproduction:
    """Return what comes of fitting a version again exactly as its training did.

    Raises:
        NotFound: there is no such version.
        SnapshotGone: its ratings are not there as they were.
        BrokenArtifact: the registered files or the snapshot are damaged.
        InvalidInput: the fit needs more memory than is free.
    """
    how = HowFitted.of(version, versions.tags(version))
    registered = versions.load(version)
    log = snapshots.load(how.snapshot_sha256).log
    progress(LOADED)
    ratings = how.ratings_of(log)
    del log
    progress(READY)
    again = fit_within_memory(
        registered.recipe,
        ratings,
        rng_of(how.seed, registered.recipe),
        lambda fraction: progress(READY + (1 - READY) * fraction),
    )
    arrays = arrays_of(registered)
    return Reproduction(
        version=version,
        recipe=str(registered.recipe),
        snapshot_sha256=how.snapshot_sha256,
        n_arrays=len(arrays),
        differences=differences_of(arrays, arrays_of(again)),
        environment=environment_differences(how.library_versions, library_versions()),
    )
