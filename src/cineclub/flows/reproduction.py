"""Reproduction of a registered version: a second fit from the same ratings, compared byte by byte."""

from collections.abc import Callable, Mapping

from cineclub.domain.evaluation.scoreboard import rng_of
from cineclub.domain.ratings.log import Snapshot
from cineclub.domain.recommend.recommender import FittedModel, Progress
from cineclub.domain.training.reproduction import Reproduction, arrays_of, differences_of, environment_differences
from cineclub.domain.training.version_record import FitConditions
from cineclub.flows import fit_within_memory
from cineclub.runtime.machine import library_versions

LOADED, READY = 0.2, 0.3
"""The finished fraction once the ratings are loaded, and once they are filtered."""


def reproduce(
    version: int,
    tags_of: Callable[[int], Mapping[str, str]],
    load_version: Callable[[int], FittedModel],
    load_snapshot: Callable[[str], Snapshot],
    progress: Progress,
) -> Reproduction:
    """Return the comparison of a version with a second fit under the conditions of its training.

    Raises:
        NotFound: there is no such version.
        SnapshotGone: its ratings are deleted, changed or unknown.
        BrokenArtifact: the registered files or the snapshot are damaged.
        InvalidInput: the fit needs more memory than is free.
    """
    conditions = FitConditions.of(version, tags_of(version))
    registered = load_version(version)
    log = load_snapshot(conditions.snapshot_sha256).log.within(registered.movie_ids)
    progress(LOADED)
    ratings = conditions.ratings_of(log)
    del log
    progress(READY)
    again = fit_within_memory(
        registered.recipe,
        ratings,
        rng_of(conditions.seed, registered.recipe),
        lambda fraction: progress(READY + (1 - READY) * fraction),
    )
    arrays = arrays_of(registered)
    return Reproduction(
        version=version,
        recipe=str(registered.recipe),
        snapshot_sha256=conditions.snapshot_sha256,
        n_arrays=len(arrays),
        differences=differences_of(arrays, arrays_of(again)),
        environment=environment_differences(conditions.library_versions, library_versions()),
    )
