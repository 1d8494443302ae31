"""Films that nobody has rated, ranked for each person by the films that they are most similar to.

Writes ``docs/benchmarks/new-films.json`` and ``docs/benchmarks/new-films.md`` and prints the tables: hidden films
ranked among each other, by genres and year alone and with generated labels; the lists that the service gives, with what
they cost the other films; and the size and speed of a large catalogue.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.scoreboard import filtered
from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.similarity import N_NEAREST, MovieSimilarity
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR
from cineclub.domain.recommend.recommender import FittedModel, History
from cineclub.domain.recommend.trends import standardized
from cineclub.domain.recommend.unlearned import NEWNESS_DAYS, weighted_newness
from cineclub.models import catalogue
from generated_labels import with_generated_labels
from hidden_movies import MIN_RATINGS, Draw, Like, RatedMovies
from large_catalogue import section_of_large_catalogue
from rating_sets import REAL_RATINGS
from report import machine, write_report
from section import Section, table_of
from served_new_films import section_of_lists

MOVIETWEETINGS = REAL_RATINGS.parent / "movietweetings-100k"
N_BEST = 50
DRAWS = {"movietweetings-100k": 2}
"""Fewer where a draw takes minutes."""

N_DRAWS = 10
PERSONAL = ("knn", "svd", "ease", "slist", "ials", "blend", "combination")
NEWNESS = " and newness"
DAY = 86_400e6
NOTE = (
    f"A tenth of the films with {MIN_RATINGS} ratings is hidden from everything that is fitted, in several draws. "
    "Models are fitted before the newest fifth of the ratings, and each like of a hidden film in it is ranked from the "
    "person's earlier ratings of other films, among the hidden films that were out by then and that the person had not "
    "rated. Means over people, then over draws. A model's score of a hidden film is the mean of its scores of the "
    f"{N_NEAREST} most similar films by attributes, weighted by the cube of the cosine. With newness: both in "
    f"standard deviations, newness weighted by its mean in the likes of the last days (half-life {NEWNESS_DAYS:.0f} "
    "days), as in the lists of the service. The first rows are not personal: films of one year are in random order, "
    "and likes are those of all time, and of the last days."
)
OF_LABELS = (
    " Directors, casts and keywords are generated from the ratings (`benchmarks/generated_labels.py`): the figures "
    "show that labels are used, not how good real ones are."
)


Scores = Callable[[Like], NDArray[np.float64]]
"""Returns the scores of the candidates of a like, (n,)."""


def by_person(likes: Sequence[Like], scores: Scores) -> dict[int, NDArray[np.float64]]:
    """Return for each person recall and nDCG among the best ``N_BEST`` candidates, (2,), mean over the likes."""
    figures: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for like in likes:
        values, at = scores(like), int(np.searchsorted(like.candidates, like.movie))
        rank = int(np.count_nonzero(values > values[at]) + np.count_nonzero(values[:at] == values[at]))
        is_among = float(rank < N_BEST)
        figures[like.user_id].append((is_among, is_among / float(np.log2(rank + 2))))
    return {user: np.mean(of_user, axis=0) for user, of_user in figures.items()}


def impersonal_scores(rated: RatedMovies, draw: Draw) -> Mapping[str, Scores]:
    """Return scores that do not depend on the person, by name."""
    n_movies, known = len(rated.movies), draw.known
    is_like = known.ratings >= known.scale.relevance_threshold
    random = np.random.default_rng(0).random(len(draw.hidden))
    of_all_time = np.bincount(known.movie_ids, is_like, n_movies)
    recent = recent_likes(draw, n_movies)
    values = {
        "random": random,
        "newest first": rated.years[draw.hidden] + 0.5 * random,
        "likes of similar films": draw.nearest.means(np.log(of_all_time + 0.3).astype(np.float32)),
        "recent likes of similar films": draw.nearest.means(np.log(recent + 0.3)),
    }
    return {name: _constant(draw, of_hidden) for name, of_hidden in values.items()}


def recent_likes(draw: Draw, n_movies: int) -> NDArray[np.float32]:
    """Return the likes of each movie that are known, decayed, shape (n_movies,)."""
    known = draw.known
    n_days = (known.rated_at.max() - known.rated_at) / DAY
    decayed = (known.ratings >= known.scale.relevance_threshold) * np.exp2(-n_days / NEWNESS_DAYS)
    return np.bincount(known.movie_ids, decayed, n_movies).astype(np.float32)


def _constant(draw: Draw, values: NDArray[np.floating]) -> Scores:
    """Return the same scores for everybody, of values of the hidden movies."""
    return lambda like: values[np.searchsorted(draw.hidden, like.candidates)].astype(np.float64)


def personal_scores(rated: RatedMovies, draw: Draw) -> Mapping[str, Scores]:
    """Return the scores of each model, and these with newness, by name."""
    matrix, _ = filtered(draw.known, MIN_RATINGS, MIN_RATINGS)
    likes = recent_likes(draw, len(rated.movies))
    named: dict[str, Scores] = {}
    for name in PERSONAL:
        fitted = catalogue.fit(catalogue.default_recipe(name), matrix, np.random.default_rng(0), lambda _fraction: None)
        named[name] = _of_model(fitted, draw, len(rated.movies))
        named[f"{name}{NEWNESS}"] = _with_newness(named[name], rated.years, likes)
    return named


def _of_model(fitted: FittedModel, draw: Draw, n_movies: int) -> Scores:
    """Return the means of a model's scores; of a movie outside its vocabulary it is the mean of all."""
    place_of = np.full(n_movies, -1, np.int32)
    place_of[fitted.movie_ids] = np.arange(len(fitted.movie_ids), dtype=np.int32)

    def scores(like: Like) -> NDArray[np.float64]:
        places = place_of[like.history.movie_indices]
        is_known = places >= 0
        history = History(places[is_known], like.history.ratings[is_known], like.history.rated_at[is_known])
        of_learned = fitted.recommender.scores(history)
        values = np.full(n_movies, of_learned.mean(), np.float32)
        values[fitted.movie_ids] = of_learned
        return draw.nearest.means(values)[np.searchsorted(draw.hidden, like.candidates)].astype(np.float64)

    return scores


def _with_newness(scores: Scores, years: NDArray[np.int16], likes: NDArray[np.float32]) -> Scores:
    """Return scores and the weighted newness of the candidates among the movies that are out."""

    def with_newness(like: Like) -> NDArray[np.float64]:
        out = np.where(years <= like.year, years, UNKNOWN_YEAR).astype(np.int16)
        return standardized(scores(like)) + weighted_newness(out, likes, like.year)[like.candidates]

    return with_newness


def section_of(rated: RatedMovies, n_draws: int, attributes: str, note: str) -> Section:
    """Return the table of one set of ratings."""
    draws: dict[str, list[dict[int, NDArray[np.float64]]]] = defaultdict(list)
    similarity = MovieSimilarity(AttributeTable.of(rated.movies))
    for seed in range(n_draws):
        draw = Draw.of(rated, similarity, seed)
        for name, scores in {**impersonal_scores(rated, draw), **personal_scores(rated, draw)}.items():
            draws[name].append(by_person(draw.likes, scores))
        print(rated.name, "draw", seed, len(draw.likes), flush=True)
    means = {
        name: np.mean([np.mean(list(of_draw.values()), axis=0) for of_draw in of_name], axis=0)
        for name, of_name in draws.items()
    }
    personal = [name for name in means if name.removesuffix(NEWNESS) in PERSONAL]
    best = max(personal, key=lambda name: means[name][0])
    floor = max((name for name in means if name not in personal), key=lambda name: means[name][0])
    low, mean, high = _lift(draws[best], draws[floor])
    rows = [[name, f"{of_name[0]:.3f}", f"{of_name[1]:.3f}"] for name, of_name in means.items()]
    gain = means[best][0] / means[floor][0] - 1
    rows.append([f"{best} over {floor}", f"{gain:+.1%}", ""])
    rows.append([f"{best} less {floor}, by person", f"{mean:+.3f} ({low:+.3f} to {high:+.3f})", ""])
    figures: dict[str, Any] = {name: of_name.tolist() for name, of_name in means.items()}
    figures |= {"best": best, "floor": floor, "gain": float(gain), "lift": [mean, low, high], "n_draws": n_draws}
    head = [f"hidden films, {n_draws} draws", f"recall@{N_BEST}", f"nDCG@{N_BEST}"]
    return Section(f"{rated.name}: {attributes}", figures, table_of(head, rows, note))


def _lift(
    draws: Sequence[Mapping[int, NDArray[np.float64]]], others: Sequence[Mapping[int, NDArray[np.float64]]]
) -> tuple[float, float, float]:
    """Return the difference of the recall with its 95 % interval: low, mean, high; a person counts once."""
    lifts: dict[int, list[float]] = defaultdict(list)
    for of_draw, of_other in zip(draws, others, strict=True):
        for user, figures in of_draw.items():
            lifts[user].append(float(figures[0] - of_other[user][0]))
    each = np.array([np.mean(of_user) for of_user in lifts.values()])
    mean, reach = float(each.mean()), 1.96 * float(each.std(ddof=1) / np.sqrt(len(each)))
    return mean - reach, mean, mean + reach


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", default=[REAL_RATINGS, *filter(Path.is_dir, [MOVIETWEETINGS])])
    parser.add_argument("--draws", type=int, help=f"{N_DRAWS} unless given, {DRAWS}")
    options = parser.parse_args()
    sections = []
    for folder in options.data:
        rated = RatedMovies.of(folder)
        n_draws = options.draws or DRAWS.get(folder.name, N_DRAWS)
        labelled = replace(rated, movies=with_generated_labels(rated.movies, rated.log))
        sections += [
            section_of_lists(rated, n_draws),
            section_of(rated, n_draws, "genres and year alone", NOTE),
            section_of(labelled, n_draws, "genres, year and generated labels", NOTE + OF_LABELS),
        ]
    sections.append(section_of_large_catalogue())
    figures = {"machine": machine(), "sets": {section.title: section.figures for section in sections}}
    write_report("new-films", figures, "\n\n".join(section.text for section in sections))


if __name__ == "__main__":
    main()
