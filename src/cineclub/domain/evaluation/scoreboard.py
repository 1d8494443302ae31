"""Scoreboards: candidates fitted on the same ratings and evaluated on the same users."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.evaluation.evaluate import Evaluation, evaluate, list_of, pooled
from cineclub.domain.evaluation.prequential import Window
from cineclub.domain.evaluation.progress import RecipeProgress, ignore_progress, part_of, part_of_recipe
from cineclub.domain.ratings.filtering import FilterReport, keep_core
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.recipe import Hyperparameter, Recipe
from cineclub.domain.recommend.recommender import FittedModel, Progress, SharesFits

MAX_TIMED_ANSWERS = 32
SAMPLE_STREAM = 2
"""Keeps the sample of users apart from the fits, which derive from the seed and a model's name."""

Fit = Callable[[Recipe, RatingMatrix, np.random.Generator, Progress], FittedModel]
"""Fits a recipe; raises InvalidInput or NotEnoughData if it cannot."""


@dataclass(frozen=True, slots=True)
class Meters:
    """Instruments: seconds of a monotonic clock, and the process's peak memory so far in bytes."""

    seconds: Callable[[], float]
    peak_memory_bytes: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fitted and evaluated recipe.

    Attributes:
        evaluation: its metrics by user.
        fit_seconds: the duration of the fit.
        answer_seconds: the mean time from a history to a ranked list.
        model_bytes: the size of its arrays.
        peak_memory_bytes: the process's peak memory after the fit; it never falls within a process.
    """

    evaluation: Evaluation
    fit_seconds: float
    answer_seconds: float
    model_bytes: int
    peak_memory_bytes: int

    @property
    def recipe(self) -> Recipe:
        """The fitted recipe."""
        return self.evaluation.recipe

    @property
    def primary(self) -> float:
        """The mean nDCG, minus infinity without evaluated users."""
        ndcg = self.evaluation.by_person(self.evaluation.ndcg)
        return float(ndcg.mean()) if len(ndcg) else float("-inf")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A candidate that was not fitted, and why."""

    recipe: Recipe
    reason: str


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """The candidates of one window in the order of their fits, those left out, and the searched grid.

    Only the best point of the grid is a candidate.
    """

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()
    grid: tuple[Candidate, ...] = ()

    def best(self) -> Candidate:
        """Return the candidate with the highest nDCG, the first of equals.

        Raises:
            NotEnoughData: every candidate was left out.
        """
        if not self.candidates:
            reasons = "; ".join(f"{left.recipe.model}: {left.reason}" for left in self.left_out)
            message = f"no candidate could be fitted ({reasons}): import more ratings or ask for other models"
            raise NotEnoughData(message)
        return max(self.candidates, key=lambda candidate: candidate.primary)

    def of(self, recipe: Recipe) -> Candidate | None:
        """Return the candidate of a recipe; None if there is none or it was left out."""
        return next((candidate for candidate in self.candidates if candidate.recipe == recipe), None)

    def with_grid(self, searched: "Scoreboard") -> "Scoreboard":
        """Return this scoreboard with the best point of a search added as a candidate, unless it has that recipe."""
        best = searched.best() if searched.candidates else None
        joined = (best,) if best and self.of(best.recipe) is None else ()
        grid = self.grid + (searched.grid or searched.candidates)
        return Scoreboard((*self.candidates, *joined), self.left_out + searched.left_out, grid)


def pooled_board(boards: Sequence[Scoreboard]) -> Scoreboard:
    """Return the scoreboards of several windows, oldest first, as one: the recipes that were evaluated in all.

    Measurements are those of the newest window.
    """
    newest = boards[-1]
    left_out = {left.recipe: left for board in boards for left in board.left_out}
    candidates = []
    for candidate in newest.candidates:
        matches = [match for board in boards if (match := board.of(candidate.recipe)) is not None]
        if len(matches) == len(boards):
            candidates.append(replace(candidate, evaluation=pooled([match.evaluation for match in matches])))
    return Scoreboard(tuple(candidates), tuple(left_out.values()))


@dataclass(frozen=True, slots=True)
class Fold:
    """The ratings before a window, and the window: all its candidates are fitted on the one, evaluated on the other.

    Attributes:
        ratings: the ratings to fit on.
        window: the users to evaluate on.
        top_k: the length of the evaluated lists.
        seed: of the random choices of each fit.
        fit_recipe: the catalogue's fit.
        meters: the instruments that measure fits and recommendations.
    """

    ratings: RatingMatrix
    window: Window
    top_k: int
    seed: int
    fit_recipe: Fit
    meters: Meters

    def of_user_share(self, share: float) -> "Fold":
        """Return the fold with the ratings of a share of the users, drawn by the seed; the window stays."""
        if share >= 1:
            return self
        rng, unfiltered = np.random.default_rng([self.seed, SAMPLE_STREAM]), self.ratings.unfiltered
        is_kept = _drawn(self.ratings.n_users, share, rng)
        if unfiltered is not None:
            others = np.setdiff1d(unfiltered.user_ids, self.ratings.user_ids)
            kept_ids = np.concatenate((self.ratings.user_ids[is_kept], others[_drawn(len(others), share, rng)]))
            unfiltered = unfiltered.take(np.isin(unfiltered.user_ids, kept_ids))
        return replace(self, ratings=self.ratings.of_users(is_kept, unfiltered))

    def fit(self, recipe: Recipe, progress: Progress) -> FittedModel:
        """Return the recipe fitted on the fold's ratings; the same seed and recipe give the same model."""
        return self.fit_recipe(recipe, self.ratings, rng_of(self.seed, recipe), progress)

    def run(self, recipe: Recipe, progress: Progress) -> tuple[Candidate, FittedModel]:
        """Return the recipe as a candidate, fitted, evaluated and measured, and its model."""
        started = self.meters.seconds()
        fitted = self.fit(recipe, progress)
        return self._candidate(fitted, self.meters.seconds() - started), fitted

    def _candidate(self, fitted: FittedModel, fit_seconds: float) -> Candidate:
        """Return a model as a candidate, evaluated and measured."""
        return Candidate(
            evaluation=evaluate(fitted, self.window, self.top_k),
            fit_seconds=fit_seconds,
            answer_seconds=self._seconds_per_answer(fitted),
            model_bytes=sum(array.nbytes for array in fitted.recommender.arrays().values()),
            peak_memory_bytes=self.meters.peak_memory_bytes(),
        )

    def run_all(self, recipes: Sequence[Recipe], progress: RecipeProgress = ignore_progress) -> Scoreboard:
        """Return the scoreboard of recipes in their order; one that its model refuses is left out with the reason.

        A recipe that differs from the one before in predictions alone shares its fit, with the duration of that.
        ``progress`` receives the recipe under way and the finished fraction of all; it may raise to stop.
        """
        candidates: list[Candidate] = []
        left_out: list[LeftOut] = []
        last: FittedModel | None = None
        for nth, recipe in enumerate(recipes):
            of_recipe = part_of_recipe(part_of(progress, nth, len(recipes)), recipe)
            try:
                if last is not None and (last := with_fit_of(last, recipe)) is not None:
                    of_recipe(0.0)
                    candidates.append(self._candidate(last, candidates[-1].fit_seconds))
                else:
                    candidate, last = self.run(recipe, of_recipe)
                    candidates.append(candidate)
            except (InvalidInput, NotEnoughData) as refusal:
                left_out.append(LeftOut(recipe, str(refusal)))
        return Scoreboard(tuple(candidates), tuple(left_out))

    def _seconds_per_answer(self, fitted: FittedModel) -> float:
        """Return the mean time from a history to a ranked list, over the first users of the window."""
        n_answers = min(len(self.window), MAX_TIMED_ANSWERS)
        started = self.meters.seconds()
        for row in range(n_answers):
            list_of(score_movies(fitted, self.window.known_of(row)), self.top_k)
        return (self.meters.seconds() - started) / max(n_answers, 1)


def _drawn(n: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask, shape (n,), of a random share of things, at least one."""
    is_drawn = np.zeros(n, np.bool_)
    is_drawn[rng.permutation(n)[: max(round(share * n), 1)]] = True
    return is_drawn


def with_fit_of(fitted: FittedModel, recipe: Recipe) -> FittedModel | None:
    """Return the model of a recipe if it has the fit of ``fitted``, because only predictions differ; else None."""
    recommender, before = fitted.recommender, fitted.recipe.hyperparameters
    if fitted.recipe.model != recipe.model or not isinstance(recommender, SharesFits):
        return None
    others = {name: value for name, value in recipe.hyperparameters.items() if before.get(name) != value}
    if before.keys() != recipe.hyperparameters.keys() or not others.keys() <= recommender.PREDICTION_ONLY:
        return None
    return replace(fitted, recipe=recipe, recommender=recommender.predicting_with(others))


def filtered(
    log: RatingLog, min_ratings_per_user: int, min_ratings_per_movie: int
) -> tuple[RatingMatrix, FilterReport]:
    """Return the matrix of a log without users and movies of too few ratings, and the report of the filter.

    The matrix keeps the log for models that learn from all ratings.

    Raises:
        NotEnoughData: no ratings are left.
    """
    data, report = keep_core(log, min_ratings_per_user, min_ratings_per_movie)
    if not len(data):
        message = (
            f"of {len(log)} ratings to learn from none is left when every user needs {min_ratings_per_user} "
            f"ratings and every film {min_ratings_per_movie}: import more ratings, or lower min_ratings_per_user and "
            "min_ratings_per_movie"
        )
        raise NotEnoughData(message)
    return replace(RatingMatrix.from_log(data), unfiltered=log), report


def grid_points(base: Recipe, grid: Mapping[str, Sequence[Hyperparameter]]) -> list[Recipe]:
    """Return a recipe for every combination of a grid's values, with the other hyperparameters of ``base``."""
    return [
        Recipe(base.model, {**base.hyperparameters, **dict(zip(grid, values, strict=True))})
        for values in product(*grid.values())
    ]


def rng_of(seed: int, recipe: Recipe) -> np.random.Generator:
    """Return the generator of a recipe's fit; it depends on the seed and the model's name only."""
    return np.random.default_rng([seed, zlib.crc32(recipe.model.encode())])


def names_of(recipes: Sequence[Recipe]) -> list[str]:
    """Return the names of recipes in a table; the second of one title is the one of a search.

    >>> names_of([Recipe("svd"), Recipe("popular"), Recipe("svd", {"n_factors": 20})])
    ['svd', 'popular, all time', 'svd, tuned']
    """
    titles = [recipe.title for recipe in recipes]
    return [f"{title}, tuned" if title in titles[:nth] else title for nth, title in enumerate(titles)]


def rows_of(candidates: Sequence[Candidate]) -> Iterator[dict[str, object]]:
    """Yield a table row per candidate: recipe, metrics, 95 % interval of the mean nDCG, segments, measurements."""
    for candidate, name in zip(candidates, names_of([candidate.recipe for candidate in candidates]), strict=True):
        evaluation = candidate.evaluation
        yield {
            "model": candidate.recipe.model,
            "name": name,
            "hyperparameters": dict(candidate.recipe.hyperparameters),
            "metrics": evaluation.metrics(),
            "ndcg_interval": evaluation.ndcg_interval(),
            "ndcg_by_history_length": evaluation.ndcg_by_segment(),
            "users_by_history_length": evaluation.users_by_segment(),
            "n_judged_users": evaluation.n_evaluated_users,
            "n_judged_likes": evaluation.n_judged_likes,
            "fit_seconds": candidate.fit_seconds,
            "answer_seconds": candidate.answer_seconds,
            "model_bytes": candidate.model_bytes,
            "peak_memory_bytes": candidate.peak_memory_bytes,
        }
