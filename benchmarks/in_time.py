"""Recommending in time: trends, models and the learned combination, walked in time; and one answer in its context.

Writes ``docs/benchmarks/time.json`` and ``docs/benchmarks/time.md`` and prints the table.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cineclub.domain.evaluation.evaluate import SEGMENTS, Evaluation, evaluate
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.prequential import PrequentialSplit, SampleSize, walk_from
from cineclub.domain.evaluation.scoreboard import filtered, grid_points, rng_of
from cineclub.domain.evaluation.significance import ClusteredMean, Interval, clustered_mean
from cineclub.domain.evaluation.splitting import Split, split_last_out, start_of_newest
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import FittedModel, History
from cineclub.models import catalogue
from cineclub.models.combination import Combination
from cineclub.runtime.machine import peak_memory_bytes
from generated_ratings import FULL_MOVIES, FULL_RATINGS, HALF_STARS
from generated_trends import log_with_trends
from peers.implicit_models import WalkedAls, walked_als
from rating_sets import REAL_RATINGS, TEST_FRACTION, rating_set
from report import earlier_parts, machine, now, write_report
from section import Section, median_seconds, table_of, timed

GB = 1e9
PLAN = TrainingPlan()
SAMPLE = SampleSize(PLAN.max_judged_users, PLAN.max_judged_ratings_per_user, PLAN.max_judged_ratings)
COMBINATION = Combination.name
PERSONAL = ("ease", "slist", "ials", "blend")
FAST_PERSONAL = ("ials",)
CONFIDENCE = 0.95
MOVIETWEETINGS = REAL_RATINGS.parent / "movietweetings-100k"
N_ANSWERS, ANSWER_LIKES, N_WIDE = 200, 100, 2_000_000
ROWS_NOTE = (
    "nDCG@10; every model was fitted before the window, histories and the crowd's likes are those of the moment. "
    "Trends and the combination rank all films that somebody has rated by then, base models those with five ratings "
    "before the window. implicit ALS computes the vector of a user anew from each history; its settings are those that "
    "`make bench-models` chose on ml-latest-small. The last rows: the combination less the trend that is best over "
    "people (over likes in that column), with the 95 % interval by person, and with the widest one by person, film, "
    "day and all together."
)


def main() -> None:
    """Measure the chosen sections, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=["tweets", "lists", "movielens", "answer"])
    parser.add_argument("--data", type=Path, help="other ratings for the section tweets")
    parser.add_argument("--ratings", type=int, default=FULL_RATINGS, help="generated ratings of the section large")
    options = parser.parse_args()
    parts = earlier_parts("time", "all")
    for name in options.only:
        section = SECTIONS[name](options)
        parts[name] = {"title": section.title, "table": section.table, "measured_at": now(), **section.figures}
        print(section.text, flush=True)
    joined = "\n".join(Section(part["title"], {}, part["table"]).text for part in parts.values())
    write_report("time", {"machine": machine(), "ratings": "all", "parts": parts}, joined)


def of_tweets(options: argparse.Namespace) -> Section:
    """Return MovieTweetings, or other ratings, walked in time."""
    ratings = rating_set(options.data or MOVIETWEETINGS)
    return walked(f"{ratings.extent}, newest tenth", ratings.log, PERSONAL)


def of_movielens(_options: argparse.Namespace) -> Section:
    """Return ratings without trends walked in time."""
    ratings = rating_set(REAL_RATINGS)
    return walked(f"{ratings.extent}, newest tenth", ratings.log, PERSONAL)


def of_large(options: argparse.Namespace) -> Section:
    """Return generated ratings with order and trends walked in time, with seconds and memory."""
    log = log_with_trends(options.ratings)
    title = f"{len(log):,} generated ratings with order and trends"
    return walked(title, log, FAST_PERSONAL, has_peer=False)  # its fit alone takes longer than all others


def walked(title: str, log: RatingLog, personal: Sequence[str], *, has_peer: bool = True) -> Section:
    """Return the metrics of baselines, models and the combination on the newest tenth."""
    split = sampled(walk_from(log, start_of_newest(log, PLAN.test_fraction)))
    evaluations: dict[str, Evaluation] = {}
    rows, figures = [], {}
    for label, fit in fits_of(split.fit, (*personal, COMBINATION), has_peer=has_peer):
        seconds, fitted = timed(fit)
        evaluations[label] = evaluate(fitted, split.window, PLAN.top_k)
        figures[label] = figures_of(evaluations[label]) | {"fit_seconds": seconds, "peak_gb": peak_memory_bytes() / GB}
        rows.append([label, *(f"{value:.4f}" for value in figures[label]["ndcg"]), f"{seconds:.1f}"])
    best = {
        name: max((recipe.title for recipe in catalogue.FLOORS), key=lambda title: figures[title]["ndcg"][place])
        for place, name in enumerate(("people", "likes"))
    }
    leader = {name: evaluations[trend] for name, trend in best.items()}
    ahead = [
        difference(evaluations[COMBINATION], leader["people"]),
        difference(evaluations[COMBINATION], leader["likes"], is_over_rows=True),
        *(difference(evaluations[COMBINATION], leader["people"], segment) for segment in SEGMENTS),
    ]
    for kind, interval_of in INTERVALS.items():
        intervals = [interval_of(mean) for mean in ahead]
        figures[f"less the best trend, {kind}"] = {
            "trends": best,
            "intervals": [interval_figures(interval) for interval in intervals],
        }
        cells = [f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})" for interval in intervals]
        rows.append([f"combination less the best trend, {kind}", *cells, ""])
    note = ROWS_NOTE + f" Peak memory of the process: {peak_memory_bytes() / GB:.1f} GB."
    head = ["", "people", "likes", "no history", "1-4", "5-19", "20+", "fit s"]
    return Section(title, figures, table_of(head, rows, note))


def of_lists(_options: argparse.Namespace) -> Section:
    """Return the last fifth of each person of ml-latest-small, with the grid searched on an inner split."""
    log = rating_set(REAL_RATINGS).log
    split = split_last_out(log, TEST_FRACTION)
    inner = split_last_out(split.fit, TEST_FRACTION)
    chosen = searched(inner, COMBINATION)
    rows, figures = [], {}
    for label, fit in fits_of(split.fit, PERSONAL, chosen):
        seconds, fitted = timed(fit)
        evaluation = evaluate(fitted, split.window, PLAN.top_k)
        figures[label] = figures_of(evaluation) | {"fit_seconds": seconds}
        rows.append([label, f"{figures[label]['ndcg'][0]:.4f}", f"{seconds:.1f}"])
    note = f"The combination's learned_on, {chosen.hyperparameters['learned_on']!r}, was chosen on the split within."
    title = "ml-latest-small, last fifth of each person"
    return Section(title, figures, table_of(["", "nDCG@10", "fit s"], rows, note))


def searched(split: Split, name: str) -> Recipe:
    """Return the best recipe of a model's grid on a split."""
    points = grid_points(catalogue.default_recipe(name), catalogue.CATALOGUE[name].grid)
    values = [
        figures_of(evaluate(fitted_on(split.fit, point), split.window, PLAN.top_k))["ndcg"][0] for point in points
    ]
    return points[int(np.argmax(values))]


def of_answer(_options: argparse.Namespace) -> Section:
    """Return the milliseconds of one answer of the largest vocabulary, in a context and in a new one."""
    log, figures = wide_log(), {}
    for name in ("popular", "ials", "blend", COMBINATION):
        fitted = fitted_on(log, catalogue.default_recipe(name))
        for label, predict in predictions_of(fitted, history_of(log, fitted)).items():
            figures[label] = {
                "milliseconds": 1000 * median_seconds(predict, N_ANSWERS),
                "films": len(fitted.movie_ids),
            }
    rows = [[label, f"{of['films']:,}", f"{of['milliseconds']:.2f}"] for label, of in figures.items()]
    note = f"Median of {N_ANSWERS} answers to a history of {ANSWER_LIKES} ratings. A context is new once in 5 minutes."
    return Section("One answer", figures, table_of(["", "films", "ms"], rows, note))


def wide_log() -> RatingLog:
    """Return ratings of as many films as MovieLens 25M has, each with a rating; few films have most of them."""
    rng = np.random.default_rng(0)
    movies = (FULL_MOVIES * rng.random(N_WIDE) ** 3).astype(np.int64)
    users = rng.integers(N_WIDE // ANSWER_LIKES, size=N_WIDE)
    pairs = np.union1d(users * FULL_MOVIES + movies, np.arange(FULL_MOVIES))
    users, movies = np.divmod(pairs, FULL_MOVIES)
    ratings = (rng.integers(1, 11, len(pairs)) / 2).astype(np.float32)
    return RatingLog.from_columns(users, movies, ratings, rng.integers(0, 10**15, len(pairs)), HALF_STARS)


def predictions_of(fitted: FittedModel, history: History) -> dict[str, Callable[[], object]]:
    """Return what is timed, by label: an answer, and for the combination one in a context that no answer had yet."""
    model = fitted.recommender
    predictions: dict[str, Callable[[], object]] = {model.name: lambda: model.predict(history)}
    if isinstance(model, Combination):
        predictions[f"{model.name}, a new context"] = lambda: model.predict_in_context(
            history, replace(model.frozen_context)
        )
    return predictions


def history_of(log: RatingLog, fitted: FittedModel) -> History:
    """Return the newest ratings of films that a model knows, as one history."""
    rows = np.sort(np.unique(log.movie_ids[:20_000], return_index=True)[1][:ANSWER_LIKES])
    known = np.isin(log.movie_ids[rows], fitted.movie_ids)
    places = np.searchsorted(fitted.movie_ids, log.movie_ids[rows][known]).astype(np.int32)
    return History(places, log.ratings[rows][known], np.sort(log.rated_at[rows][known]))


def sampled(split: PrequentialSplit) -> PrequentialSplit:
    """Return a split with as many judged people and ratings as a training takes."""
    return replace(split, window=split.window.sampled(SAMPLE, np.random.default_rng(0)))


def fits_of(
    log: RatingLog, names: Sequence[str], *others: Recipe, has_peer: bool = True
) -> Iterator[tuple[str, Callable[[], FittedModel]]]:
    """Yield the name and the fit of the baselines, the compared library, models at their defaults and other recipes."""
    matrix = filtered(log, PLAN.min_ratings_per_user, PLAN.min_ratings_per_movie)[0]
    for recipe in catalogue.BASELINES:
        yield recipe.title, partial(fit_of, recipe, matrix)
    if has_peer:
        yield WalkedAls.name, partial(walked_als, matrix, 0)
    for recipe in (*map(catalogue.default_recipe, names), *others):
        yield recipe.model, partial(fit_of, recipe, matrix)


def fitted_on(log: RatingLog, recipe: Recipe) -> FittedModel:
    """Return a recipe fitted on a log as a training does."""
    return fit_of(recipe, filtered(log, PLAN.min_ratings_per_user, PLAN.min_ratings_per_movie)[0])


def fit_of(recipe: Recipe, matrix: RatingMatrix) -> FittedModel:
    """Return a fitted recipe."""
    return catalogue.fit(recipe, matrix, rng_of(0, recipe), lambda _fraction: None)


def figures_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return the nDCG of people and of likes, and of people by length of history."""
    metrics, by_segment = evaluation.metrics(), evaluation.ndcg_by_segment()
    means = [metrics[f"{name}_at_{PLAN.top_k}"] for name in ("ndcg", "ndcg_of_likes")]
    return {"ndcg": [*means, *by_segment.values()]}


def difference(
    first: Evaluation, second: Evaluation, segment: str | None = None, *, is_over_rows: bool = False
) -> ClusteredMean:
    """Return the difference of two evaluations of one walk, of all rows or of one length of history."""
    ahead = first.ndcg - second.ndcg
    inside = ahead if segment is None else np.where(first.in_segment(segment), ahead, np.nan)
    return clustered_mean(inside, first.rows, is_over_rows=is_over_rows)


def by_person(mean: ClusteredMean) -> Interval:
    """Return the interval of a mean by person alone."""
    of_users = {name: spread for name, spread in mean.spreads.items() if name == "users"}
    return replace(mean, spreads=of_users).interval(CONFIDENCE)


def widest(mean: ClusteredMean) -> Interval:
    """Return the widest interval of a mean."""
    return mean.interval(CONFIDENCE)


INTERVALS: Mapping[str, Callable[[ClusteredMean], Interval]] = {"by person": by_person, "widest": widest}


def interval_figures(interval: Interval) -> dict[str, Any]:
    """Return an interval as figures."""
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "clusters": interval.clusters}


SECTIONS: Mapping[str, Callable[[argparse.Namespace], Section]] = {
    "tweets": of_tweets,
    "lists": of_lists,
    "movielens": of_movielens,
    "answer": of_answer,
    "large": of_large,
}

if __name__ == "__main__":
    main()
