"""Films that nobody has rated, ranked for each person by the films that they are most similar to.

Writes ``docs/benchmarks/new-films.json`` and ``docs/benchmarks/new-films.md`` and prints the tables. The service lists
the films similar to such a film, and does not rank it for persons yet.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.adapters.files import demo_source, open_source
from cineclub.domain.evaluation.scoreboard import filtered
from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.similarity import MovieSimilarity
from cineclub.domain.ratings.log import EPOCH, Movie, RatingLog
from cineclub.domain.recommend.recommender import FittedModel, History
from cineclub.models import catalogue
from rating_sets import HALF_STARS, REAL_RATINGS
from report import machine, write_report
from section import Section, table_of

MOVIETWEETINGS = REAL_RATINGS.parent / "movietweetings-100k"
DEMO = "the demo"
N_DRAWS, HIDDEN_PART, MIN_RATINGS, NEWEST_PART = 10, 0.1, 5, 0.2
N_BEST, MAX_LIKES_OF_PERSON, N_NEWEST_LIKES = 50, 20, 2000
N_NEAREST, SHARPNESS = 24, 3
"""The most similar movies whose scores are averaged, and the power of the cosine that is their weight."""

PERSONAL = ("knn", "svd", "ease", "slist", "ials", "blend", "combination")
NEWNESS = " and newness"
DAY, YEAR = 86_400e6, 365.25 * 86_400e6
RECENT_DAYS = 90.0
NOTE = (
    f"A tenth of the films with {MIN_RATINGS} ratings is hidden from everything that is fitted, in several draws. "
    "Models are fitted before the newest fifth of the ratings, and each like of a hidden film in it is ranked from the "
    "person's earlier ratings of other films, among the hidden films that were out by then and that the person had not "
    "rated. Means over people, then over draws. A model's score of a hidden film is the mean of its scores of the "
    f"{N_NEAREST} most similar films by genres and year, weighted by the cube of the cosine. With newness: both in "
    "standard deviations, newness weighted by its mean in the newest likes before. The first rows are not personal: "
    f"films of one year are in random order, and likes are those of all time, and of the last {RECENT_DAYS:.0f} days."
)


@dataclass(frozen=True, slots=True)
class RatedMovies:
    """Ratings with their movies, whose ids are their positions.

    Attributes:
        name: of the set.
        log: the ratings.
        movies: in the order of their ids.
        years: (n_movies,) the year of each, 0 where it is not known.
    """

    name: str
    log: RatingLog
    movies: tuple[Movie, ...]
    years: NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path) -> "RatedMovies":
        """Read a folder of ratings, or the demo where it is absent."""
        source = open_source(folder) if folder.is_dir() else demo_source()
        imported = source.read(source.scale or HALF_STARS, lambda _fraction, _part: None)
        texts = {movie.external_id: movie for movie in imported.movies}
        names = dict.fromkeys((*imported.rows.movie_ids, *texts))
        movies = tuple(
            Movie(nth, name, movie.title, movie.year, movie.genres)
            if (movie := texts.get(name))
            else Movie(nth, name, name, None, ())
            for nth, name in enumerate(names)
        )
        years = np.array([movie.year or 0 for movie in movies])
        return cls(folder.name if folder.is_dir() else DEMO, imported.rows.to_log(imported.scale), movies, years)


@dataclass(frozen=True, slots=True)
class Like:
    """A like to rank.

    Attributes:
        user_id: who liked.
        movie: the hidden movie.
        year: the moment, in years.
        history: the earlier ratings of movies that are not hidden, by id.
        candidates: (n,) rising ids of the hidden movies to rank it among.
    """

    user_id: int
    movie: int
    year: float
    history: History
    candidates: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """The ratings that models learn from, the hidden movies with those most similar to them, and the likes to rank."""

    known: RatingLog
    hidden: NDArray[np.int64]
    nearest: NDArray[np.int64]
    weights: NDArray[np.float32]
    likes: list[Like]

    @classmethod
    def of(cls, rated: RatedMovies, similarity: MovieSimilarity, seed: int) -> "Draw":
        """Hide a tenth of the movies that have enough ratings."""
        log, n_movies = rated.log, len(rated.movies)
        enough = np.flatnonzero(np.bincount(log.movie_ids, minlength=n_movies) >= MIN_RATINGS)
        hidden = np.sort(np.random.default_rng(seed).choice(enough, int(HIDDEN_PART * len(enough)), replace=False))
        cut = int(np.quantile(log.rated_at, 1 - NEWEST_PART))
        is_hidden = np.isin(np.arange(n_movies), hidden)
        known = log.take(~is_hidden[log.movie_ids] & (log.rated_at < cut))
        known = known.within(np.flatnonzero(~is_hidden))
        among = np.bincount(known.movie_ids, minlength=n_movies) >= MIN_RATINGS
        return cls(known, hidden, *_nearest(similarity, hidden, among), _likes_after(rated, is_hidden, cut))

    def means(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return for each hidden movie the mean of ``values``, (n_movies,), of the most similar ones, (n_hidden,)."""
        return np.asarray((self.weights * values[self.nearest]).sum(axis=1), np.float64)


def _nearest(
    similarity: MovieSimilarity, wanted: NDArray[np.int64], among: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the most similar movies of each wanted one, (n, N_NEAREST), and weights that sum to 1, or are 0."""
    nearest, weights = np.zeros((len(wanted), N_NEAREST), np.int64), np.zeros((len(wanted), N_NEAREST), np.float32)
    for row, movie in enumerate(wanted.tolist()):
        cosines = np.where(among, similarity.of(movie), np.float32(0))
        best = np.argsort(-cosines, kind="stable")[:N_NEAREST]
        nearest[row, : len(best)], weights[row, : len(best)] = best, cosines[best] ** SHARPNESS
    sums = weights.sum(axis=1, keepdims=True)
    return nearest, np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)


def _likes_after(rated: RatedMovies, is_hidden: NDArray[np.bool_], cut: int) -> list[Like]:
    """Return the likes of hidden movies after a time, by people who have rated another one before."""
    log, hidden, likes = rated.log, np.flatnonzero(is_hidden), list[Like]()
    bounds = np.flatnonzero(np.concatenate(([True], log.user_ids[1:] != log.user_ids[:-1], [True])))
    is_like = is_hidden[log.movie_ids] & (log.ratings >= log.scale.relevance_threshold) & (log.rated_at >= cut)
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = np.arange(first, end)
        for row in rows[is_like[rows]][:MAX_LIKES_OF_PERSON].tolist():
            before = rows[log.rated_at[rows] < log.rated_at[row]]
            others = before[~is_hidden[log.movie_ids[before]]]
            year = EPOCH.year + float(log.rated_at[row]) / YEAR
            candidates = np.setdiff1d(hidden[rated.years[hidden] <= year], log.movie_ids[before])
            if len(others) and log.movie_ids[row] in candidates:
                history = History(log.movie_ids[others].astype(np.int32), log.ratings[others], log.rated_at[others])
                likes.append(Like(int(log.user_ids[row]), int(log.movie_ids[row]), year, history, candidates))
    return likes


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
    n_days = (known.rated_at.max() - known.rated_at) / DAY
    random = np.random.default_rng(0).random(len(draw.hidden))
    of_all_time = np.bincount(known.movie_ids, is_like, n_movies)
    recent = np.bincount(known.movie_ids, is_like * np.exp2(-n_days / RECENT_DAYS), n_movies)
    values = {
        "random": random,
        "newest first": rated.years[draw.hidden] + 0.5 * random,
        "likes of similar films": draw.means(np.log(of_all_time + 0.3)),
        "recent likes of similar films": draw.means(np.log(recent + 0.3)),
    }
    return {name: _constant(draw, of_hidden) for name, of_hidden in values.items()}


def _constant(draw: Draw, values: NDArray[np.float64]) -> Scores:
    """Return the same scores for everybody, of values of the hidden movies."""
    return lambda like: values[np.searchsorted(draw.hidden, like.candidates)]


def personal_scores(rated: RatedMovies, draw: Draw) -> Mapping[str, Scores]:
    """Return the scores of each model, and these with newness, by name."""
    matrix, _ = filtered(draw.known, MIN_RATINGS, MIN_RATINGS)
    weight = newness_of_likes(rated, draw.known)
    named: dict[str, Scores] = {}
    for name in PERSONAL:
        fitted = catalogue.fit(catalogue.default_recipe(name), matrix, np.random.default_rng(0), lambda _fraction: None)
        named[name] = _of_model(fitted, draw, len(rated.movies))
        named[f"{name}{NEWNESS}"] = _with_newness(named[name], rated.years, weight)
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
        return draw.means(values)[np.searchsorted(draw.hidden, like.candidates)]

    return scores


def _with_newness(scores: Scores, years: NDArray[np.int64], weight: float) -> Scores:
    """Return scores plus the weighted newness of the candidates, both standardized."""
    return lambda like: (
        _standardized(scores(like)) + weight * _standardized(_newness(years[like.candidates], like.year))
    )


def newness_of_likes(rated: RatedMovies, known: RatingLog) -> float:
    """Return the mean newness of the newest likes, in standard deviations of the movies that were out by then.

    It is the weight of newness if scores are about normal: choosing with a weight moves the mean by it.
    """
    liked = np.flatnonzero(known.ratings >= known.scale.relevance_threshold)
    newest = liked[np.argsort(known.rated_at[liked], kind="stable")][-N_NEWEST_LIKES:]
    values = []
    for row in newest.tolist():
        year = EPOCH.year + float(known.rated_at[row]) / YEAR
        is_out = (rated.years > 0) & (rated.years <= year)
        if is_out[known.movie_ids[row]]:
            at = int(np.count_nonzero(is_out[: known.movie_ids[row]]))
            values.append(_standardized(_newness(rated.years[is_out], year))[at])
    return float(np.mean(values)) if values else 0.0


def _newness(years: NDArray[np.int64], now: float) -> NDArray[np.float64]:
    """Return -log(1 + age in years) of movies, (n,)."""
    return -np.log1p(np.maximum(now - years, 0.0))


def _standardized(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values, (n,), with mean 0 and standard deviation 1; zeros where all are equal."""
    spread = float(values.std())
    return np.asarray((values - values.mean()) / spread if spread > 0 else np.zeros(len(values)), np.float64)


def section_of(rated: RatedMovies, n_draws: int) -> Section:
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
    rows.append([f"{best} less {floor}, by person", f"{mean:+.3f} ({low:+.3f} to {high:+.3f})", ""])
    figures: dict[str, Any] = {name: of_name.tolist() for name, of_name in means.items()}
    figures |= {"best": best, "floor": floor, "lift": [mean, low, high], "n_draws": n_draws}
    head = [f"hidden films, {n_draws} draws", f"recall@{N_BEST}", f"nDCG@{N_BEST}"]
    return Section(f"{rated.name}: genres and year alone", figures, table_of(head, rows, NOTE))


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
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    options = parser.parse_args()
    sections = [section_of(RatedMovies.of(folder), options.draws) for folder in options.data]
    figures = {"machine": machine(), "sets": {section.title: section.figures for section in sections}}
    write_report("new-films", figures, "\n\n".join(section.text for section in sections))


if __name__ == "__main__":
    main()
