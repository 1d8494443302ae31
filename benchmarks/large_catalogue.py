"""A catalogue of 59,000 films with 300,000 labels: size of an artifact, time of an answer, and of a change."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.model_store import write_artifact
from cineclub.domain.evaluation.scoreboard import filtered
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.crowd import CrowdWindow
from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.log import Movie, RatingLog, SnapshotIdentity, UserRatings
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.models import catalogue
from generated_ratings import Size, generate
from section import Section, median_seconds, table_of, timed

N_MOVIES, N_RATINGS, N_USERS, N_PEOPLE = 59_000, 2_000_000, 13_000, 200
MODEL, MIN_RATINGS = "combination", 5
LABELS = (("director", 1, 15_000), ("cast", 2, 30_000), ("keyword", 2, 10_000))
"""Kind, labels of a film, and names that there are."""

GENRES = ("Drama", "Comedy", "Thriller", "Romance", "Action", "Documentary", "Horror", "Crime", "Adventure", "Sci-Fi")
NOTE = (
    f"{N_RATINGS:,} generated ratings of {N_USERS:,} people and {N_MOVIES:,} films, the model {MODEL}. Labels: a "
    "director, two actors and two keywords of each film, beside one to three genres and a year. An answer is "
    f"`recommend` for another person each time, {N_PEOPLE} people, in the context of the end. The model learns of a "
    "film from its first rating on; the other films are new to it. One film added: the catalogue and the model's films "
    "are made again, as the service does. A new catalogue: everything is read again, or another version is loaded."
)


def section_of_large_catalogue() -> Section:
    """Measure, and return the table."""
    log = generate(Size(N_USERS, N_MOVIES, N_RATINGS), 0).log()
    plain, labelled = movies_of(log, has_labels=False), movies_of(log, has_labels=True)
    matrix, _ = filtered(log.within(np.array([movie.movie_id for movie in plain])), MIN_RATINGS, MIN_RATINGS)
    recipe = catalogue.default_recipe(MODEL)
    fitted = catalogue.fit(recipe, matrix, np.random.default_rng(0), lambda _fraction: None)
    alone = LiveModel.of(1, fitted, {movie.movie_id: movie for movie in labelled})
    of_reading, movies = timed(lambda: Catalogue.of(labelled, [0.0] * len(labelled)))
    of_loading, among = timed(lambda: alone.within(movies))
    newest = replace(labelled[5], movie_id=labelled[-1].movie_id + 1, external_id="new")
    of_change, changed = timed(lambda: movies.with_changes({newest.movie_id: newest}))
    of_list, _ = timed(lambda: among.within(changed))
    crowd = CrowdWindow.of(log, int(log.rated_at.max()) + 1, None).before
    histories = histories_of(log)

    def answers(model: LiveModel) -> Callable[[], object]:
        people = iter(histories * 2)
        return lambda: recommend(model, RecommendationRequest(10), next(people), crowd)

    without, within = (1000 * median_seconds(answers(model), N_PEOPLE) for model in (alone, among))
    small, large = artifact_bytes(alone, plain), artifact_bytes(alone, labelled)
    n_labels, n_new = sum(len(movie.labels) for movie in labelled), len(among.unlearned.positions)
    seconds = {"indexes": of_reading, "load": of_loading, "change": of_change, "change_of_model": of_list}
    rows = [
        ["films, labels, films new to the model", f"{len(labelled):,}", f"{n_labels:,}", f"{n_new:,}"],
        ["artifact, MB: without labels, with, ratio", f"{small:.1f}", f"{large:.1f}", f"{large / small:.2f}"],
        ["one answer, ms: model alone, all films, ratio", f"{without:.2f}", f"{within:.2f}", f"{within / without:.2f}"],
        ["one film added, s: catalogue, model", f"{of_change:.2f}", f"{of_list:.2f}", ""],
        ["a new catalogue, s: indexes, model", f"{of_reading:.2f}", f"{of_loading:.2f}", ""],
    ]
    figures: dict[str, Any] = {"n_movies": len(labelled), "n_labels": n_labels, "n_unlearned": n_new}
    figures |= {"answer_ms": [without, within], "artifact_mb": [small, large], "seconds": seconds}
    return Section("59,000 films with 300,000 labels (generated)", figures, table_of(["", "", "", ""], rows, NOTE))


def movies_of(log: RatingLog, *, has_labels: bool) -> list[Movie]:
    """Return every film of the size, with generated genres, years and labels."""
    rng = np.random.default_rng(1)
    names = {kind: _names(rng, n_of_movie, n_names) for kind, n_of_movie, n_names in LABELS}
    movies = []
    ids = np.union1d(log.movie_ids, np.arange(1, N_MOVIES + 1))[:N_MOVIES]
    for nth, movie_id in enumerate(ids.tolist()):
        labels = [
            Label(kind, f"{kind} {name}")
            for kind, of_kind in names.items()
            for name in np.unique(of_kind[nth]).tolist()
        ]
        genres = tuple(rng.choice(GENRES, rng.integers(1, 4), replace=False).tolist())
        year = int(rng.integers(1930, 2020))
        movie = Movie(movie_id, str(movie_id), f"Film {movie_id}", year, genres)
        movies.append(replace(movie, labels=tuple(labels)) if has_labels else movie)
    return movies


def _names(rng: np.random.Generator, n_of_movie: int, n_names: int) -> NDArray[np.int64]:
    """Return the names of each film, (N_MOVIES, n_of_movie); the first are the most frequent."""
    return (n_names * rng.random((N_MOVIES, n_of_movie)) ** 2).astype(np.int64)


def histories_of(log: RatingLog) -> list[UserRatings]:
    """Return the ratings of some people."""
    users = np.random.default_rng(2).choice(np.unique(log.user_ids), N_PEOPLE, replace=False)
    bounds = [np.searchsorted(log.user_ids, [user, user + 1]).tolist() for user in users.tolist()]
    return [UserRatings(log.movie_ids[a:b], log.ratings[a:b], log.rated_at[a:b]) for a, b in bounds]


def artifact_bytes(model: LiveModel, movies: list[Movie]) -> float:
    """Return the size of the artifact of a model in MB."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "artifact"
        write_artifact(place, model.fitted, movies, SnapshotIdentity(N_RATINGS, None, "0" * 64))
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
