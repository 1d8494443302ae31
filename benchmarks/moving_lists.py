"""Lists that move: hits with films that step back after they were shown, by strength (``make bench-moving``).

The newest fifth of the ratings is walked in time, with people who come at least twice in it. As each visit begins, the
person gets a list of ten, from the history and the crowd of that moment, by a model that was fitted before the fifth
begins; films of the lists of earlier visits step back. A list is a hit if a film of it is rated in the visit. The
people did not see these lists: the figures say what a film that was not taken says about the next choice, and nothing
of how people tire of a list.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.prequential import PrequentialWindow, walk_from
from cineclub.domain.evaluation.splitting import start_of_newest
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.impressions import ShownMovies, Visit, starts_of_visits, stepped_back
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel
from cineclub.models import catalogue
from rating_sets import REAL_RATINGS, RatingSet, rating_set
from report import machine, write_report
from section import Section, table_of

WINDOW_FRACTION = 0.2
MAX_PEOPLE = 1500
TOP_N, N_CONTENDERS = 10, 100
STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
MODELS = ("popular", "slist")
HALF_LIFE_DAYS = 3.0
N_RESAMPLES, LEVEL = 2000, (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Request:
    """The request at the begin of a visit: its user, its time, the films rated in the visit, and the contenders."""

    user_id: int
    moment: int
    rated_ids: NDArray[np.int64]
    contenders: NDArray[np.int64]


def visits_of(window: PrequentialWindow) -> dict[int, NDArray[np.int64]]:
    """Return the rows of each visit of drawn people who come more than once, by its first row, in order of time."""
    visits: dict[int, NDArray[np.int64]] = {}
    users, moments = window.user_ids, window.moments
    order = np.argsort(users, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(users[order])) + 1):
        starts = starts_of_visits(moments[rows])
        of_user = np.split(rows, np.flatnonzero(np.diff(starts)) + 1)
        if len(of_user) > 1:
            visits |= {int(of_visit[0]): of_visit for of_visit in of_user}
    people = np.unique(users[list(visits)])
    drawn = set(np.random.default_rng(0).permutation(people)[:MAX_PEOPLE].tolist())
    return {first: visits[first] for first in sorted(visits) if users[first] in drawn}


def requests_of(fitted: FittedModel, window: PrequentialWindow) -> Iterator[Request]:
    """Yield the request at the begin of each visit of a window, in the order of time."""
    visits, movie_ids = visits_of(window), window.held_out.movie_ids
    contexts = window.contexts_of(fitted.movie_ids, np.array(list(visits)))
    for (first, rows), context in zip(visits.items(), contexts, strict=True):
        scores = score_movies(fitted, window.known_of(first), context)
        [unrated] = window.unrated_at(fitted.movie_ids, np.array([first]))
        best = rank_movies(scores.scores, np.append(scores.history.movie_indices, unrated), N_CONTENDERS)
        moment = int(window.moments[first])
        yield Request(int(window.user_ids[first]), moment, movie_ids[rows], fitted.movie_ids[best])


def with_list(shown: ShownMovies, moment: int, movie_ids: NDArray[np.int64]) -> ShownMovies:
    """Return the shown films with those of one more list."""
    times = np.full(len(movie_ids), moment)
    return ShownMovies(np.append(shown.shown_at, times), np.append(shown.movie_ids, movie_ids))


@dataclass(frozen=True, slots=True)
class Replay:
    """The requests of a window answered with one strength, each (n_requests,).

    Attributes:
        hits: whether a movie of the list was rated in the visit.
        moved: whether the list was another one than the model's.
    """

    hits: NDArray[np.bool_]
    moved: NDArray[np.bool_]


def replayed(requests: Sequence[Request], step_back: float) -> Replay:
    """Return the answers to the requests when films step back."""
    shown: dict[int, ShownMovies] = defaultdict(ShownMovies.none)
    hits, moved = np.zeros(len(requests), np.bool_), np.zeros(len(requests), np.bool_)
    for nth, request in enumerate(requests):
        of_user = shown[request.user_id]
        impressions = Visit.at(request.moment, of_user, step_back).impressions
        order = stepped_back(impressions.of(request.contenders))[:TOP_N]
        movie_ids = request.contenders[order]
        shown[request.user_id] = with_list(of_user, request.moment, movie_ids)
        hits[nth] = bool(np.isin(movie_ids, request.rated_ids).any())
        moved[nth] = bool((order != np.arange(len(order))).any())
    return Replay(hits, moved)


def interval_by_person(users: NDArray[np.int64], differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over requests when whole people are drawn again."""
    _, of_row = np.unique(users, return_inverse=True)
    sums, counts = np.bincount(of_row, differences), np.bincount(of_row)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(N_RESAMPLES):
        drawn = rng.integers(0, len(counts), len(counts))
        means.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.percentile(means, LEVEL)
    return float(low), float(high)


def rows_of(name: str, requests: Sequence[Request]) -> Iterator[list[str]]:
    """Yield a row of the table for each strength."""
    users = np.array([request.user_id for request in requests])
    without = replayed(requests, 0.0)
    yield [name, "0 (off)", f"{without.hits.mean():.4f}", "", "", ""]
    for step_back in STRENGTHS:
        replay = replayed(requests, step_back)
        gained = replay.hits.astype(np.float64) - without.hits
        low, high = interval_by_person(users, gained)
        interval = f"{low:+.4f} to {high:+.4f}"
        difference = f"{gained.mean():+.4f}"
        yield [name, f"{step_back:g}", f"{replay.hits.mean():.4f}", difference, interval, f"{replay.moved.mean():.2f}"]


def section_of(ratings: RatingSet) -> Section:
    """Return the table of one set of ratings."""
    split = walk_from(ratings.log, start_of_newest(ratings.log, WINDOW_FRACTION))
    matrix = RatingMatrix.of_catalogue(split.fit)
    rows: list[list[str]] = []
    for name in MODELS:
        started = time.perf_counter()
        recipe = catalogue.default_recipe(name)
        if name == "popular":
            recipe = Recipe(name, {**recipe.hyperparameters, "half_life_days": HALF_LIFE_DAYS})
        fitted = catalogue.fit(recipe, matrix, np.random.default_rng(0), lambda _fraction: None)
        requests = list(requests_of(fitted, split.window))
        label = f"popular of {HALF_LIFE_DAYS:g} days" if name == "popular" else name
        rows += rows_of(label, requests)
        print(f"{ratings.name} {name}: {time.perf_counter() - started:.0f} s", flush=True)
    head = ["model", "step back", "hit rate", "difference", "95 % interval by person", "lists that moved"]
    visits = visits_of(split.window)
    n_people = len(np.unique(split.window.user_ids[list(visits)]))
    note = f"{len(visits):,} visits of {n_people:,} people who come more than once. {ratings.extent}."
    figures = {"rows": [dict(zip(head, row, strict=True)) for row in rows]}
    return Section(ratings.name, figures, table_of(head, rows, note))


def main() -> None:
    """Print and store the tables of the given ratings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", help="ratings that `cineclub import` reads; repeatable")
    local = [path for path in (REAL_RATINGS.with_name("movietweetings-100k"), REAL_RATINGS) if path.exists()]
    sections = [section_of(rating_set(path)) for path in parser.parse_args().data or local or [None]]
    figures = {"machine": machine(), "parts": {section.title: section.figures for section in sections}}
    write_report("moving", figures, "\n".join(section.text for section in sections))


if __name__ == "__main__":
    main()
