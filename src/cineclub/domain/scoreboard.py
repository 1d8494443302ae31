"""Every candidate fitted on the same ratings and judged on the same people, and the table that comes of it."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from cineclub.domain.cold_start import answer
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.evaluation import Judgement, judge, list_of, pooled
from cineclub.domain.filtering import FilterReport, keep_core
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ratings import RatingLog
from cineclub.domain.recipe import Hyperparameter, Recipe
from cineclub.domain.recommender import FittedModel, Progress
from cineclub.domain.splitting import JudgedWindow

MAX_TIMED_ANSWERS = 32
SAMPLE_STREAM = 2
"""Keeps the sample of users apart from the fits, which derive from the seed and a model's name."""

Fit = Callable[[Recipe, RatingMatrix, np.random.Generator, Progress], FittedModel]
"""The catalogue's way to fit a recipe; refuses with InvalidInput or NotEnoughData what it cannot fit."""


@dataclass(frozen=True, slots=True)
class Meters:
    """What a run is measured with: seconds of a monotonic clock, and the process's peak memory so far in bytes."""

    seconds: Callable[[], float]
    peak_memory_bytes: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One fitted and judged recipe.

    Attributes:
        judgement: how it did, person by person.
        fit_seconds: how long it learned.
        answer_seconds: the mean time of one answer, from a history to a ranked list.
        model_bytes: the size of its arrays.
        peak_memory_bytes: the process's peak memory after the fit; it only ever rises within a process.
    """

    judgement: Judgement
    fit_seconds: float
    answer_seconds: float
    model_bytes: int
    peak_memory_bytes: int

    @property
    def recipe(self) -> Recipe:
        """What was fitted."""
        return self.judgement.recipe

    @property
    def primary(self) -> float:
        """The mean nDCG, below every other where nobody could be judged."""
        ndcg = self.judgement.by_person(self.judgement.ndcg)
        return float(ndcg.mean()) if len(ndcg) else float("-inf")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A candidate that was not fitted, and why."""

    recipe: Recipe
    reason: str


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """The candidates of one window in the order in which they were tried, those left out, and the searched grid.

    Of the grid only the best point is a candidate.
    """

    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...] = ()
    grid: tuple[Candidate, ...] = ()

    def best(self) -> Candidate:
        """Return the candidate with the highest nDCG, of equals the one tried first.

        Raises:
            NotEnoughData: every candidate was left out.
        """
        if not self.candidates:
            reasons = "; ".join(f"{left.recipe.model}: {left.reason}" for left in self.left_out)
            message = f"no candidate could be fitted ({reasons}): import more ratings or ask for other models"
            raise NotEnoughData(message)
        return max(self.candidates, key=lambda candidate: candidate.primary)

    def of(self, recipe: Recipe) -> Candidate | None:
        """Return the candidate of a recipe; None where it was not tried or left out."""
        return next((candidate for candidate in self.candidates if candidate.recipe == recipe), None)

    def with_grid(self, searched: "Scoreboard") -> "Scoreboard":
        """Return this scoreboard with the best point of a search as one more candidate, if it is a new one."""
        best = searched.best() if searched.candidates else None
        joined = (best,) if best and self.of(best.recipe) is None else ()
        grid = self.grid + (searched.grid or searched.candidates)
        return Scoreboard((*self.candidates, *joined), self.left_out + searched.left_out, grid)


def pooled_board(boards: Sequence[Scoreboard]) -> Scoreboard:
    """Return the scoreboards of several windows, oldest first, as one: recipes that were judged in each of them.

    Measurements are those of the newest window.
    """
    newest = boards[-1]
    left_out = {left.recipe: left for board in boards for left in board.left_out}
    candidates = []
    for candidate in newest.candidates:
        found = [board.of(candidate.recipe) for board in boards]
        judgements = [one.judgement for one in found if one is not None]
        if len(judgements) == len(boards):
            candidates.append(replace(candidate, judgement=pooled(judgements)))
    return Scoreboard(tuple(candidates), tuple(left_out.values()))


@dataclass(frozen=True, slots=True)
class Trial:
    """The common ground of a window's candidates: the ratings they learn from and the people they are judged on.

    Attributes:
        ratings: what every candidate is fitted on.
        window: whom every candidate is judged on.
        top_k: the length of the judged lists.
        seed: what each fit's random choices derive from.
        fit_recipe: the catalogue's fit.
        meters: what fits and answers are measured with.
    """

    ratings: RatingMatrix
    window: JudgedWindow
    top_k: int
    seed: int
    fit_recipe: Fit
    meters: Meters

    def of_user_share(self, share: float) -> "Trial":
        """Return a trial on the ratings of a share of the users, drawn by the seed; the same people are judged."""
        if share >= 1:
            return self
        n_kept = max(round(share * self.ratings.n_users), 1)
        is_kept = np.zeros(self.ratings.n_users, np.bool_)
        is_kept[np.random.default_rng([self.seed, SAMPLE_STREAM]).permutation(self.ratings.n_users)[:n_kept]] = True
        return replace(self, ratings=self.ratings.of_users(is_kept))

    def fit(self, recipe: Recipe, progress: Progress) -> FittedModel:
        """Return the recipe fitted on the trial's ratings; the same seed and recipe give the same model."""
        return self.fit_recipe(recipe, self.ratings, rng_of(self.seed, recipe), progress)

    def run(self, recipe: Recipe, progress: Progress) -> tuple[Candidate, FittedModel]:
        """Return the recipe fitted, judged and measured, and the model itself."""
        started = self.meters.seconds()
        fitted = self.fit(recipe, progress)
        fit_seconds = self.meters.seconds() - started
        candidate = Candidate(
            judgement=judge(fitted, self.window, self.top_k),
            fit_seconds=fit_seconds,
            answer_seconds=self._seconds_per_answer(fitted),
            model_bytes=sum(array.nbytes for array in fitted.recommender.arrays().values()),
            peak_memory_bytes=self.meters.peak_memory_bytes(),
        )
        return candidate, fitted

    def run_all(
        self, recipes: Sequence[Recipe], progress: Callable[[Recipe, float], None] = lambda _recipe, _fraction: None
    ) -> Scoreboard:
        """Return the scoreboard of the recipes; one that its model refuses is left out with the reason.

        Args:
            recipes: what to try, in this order.
            progress: told which recipe is under way and the finished fraction of all; may raise to stop.
        """
        candidates: list[Candidate] = []
        left_out: list[LeftOut] = []
        for nth, recipe in enumerate(recipes):
            try:
                candidates.append(self.run(recipe, _part_of(progress, recipe, nth, len(recipes)))[0])
            except (InvalidInput, NotEnoughData) as refusal:
                left_out.append(LeftOut(recipe, str(refusal)))
        return Scoreboard(tuple(candidates), tuple(left_out))

    def _seconds_per_answer(self, fitted: FittedModel) -> float:
        """Return the mean time from a history to a ranked list, over the first people of the window."""
        n_answers = min(len(self.window), MAX_TIMED_ANSWERS)
        started = self.meters.seconds()
        for row in range(n_answers):
            list_of(answer(fitted, self.window.known_of(row)), self.top_k)
        return (self.meters.seconds() - started) / max(n_answers, 1)


def filtered(
    log: RatingLog, min_ratings_per_user: int, min_ratings_per_movie: int
) -> tuple[RatingMatrix, FilterReport]:
    """Return the matrix of ratings to learn from without thin users and films, and what left.

    Raises:
        NotEnoughData: nothing is left.
    """
    kept, report = keep_core(log, min_ratings_per_user, min_ratings_per_movie)
    if not len(kept):
        message = (
            f"of {len(log)} ratings to learn from none is left when every user needs {min_ratings_per_user} "
            f"ratings and every film {min_ratings_per_movie}: import more ratings, or lower min_ratings_per_user and "
            "min_ratings_per_movie"
        )
        raise NotEnoughData(message)
    return RatingMatrix.from_log(kept), report


def grid_points(base: Recipe, grid: Mapping[str, Sequence[Hyperparameter]]) -> list[Recipe]:
    """Return a recipe for every combination of a grid's values, the other hyperparameters as in ``base``."""
    return [
        Recipe(base.model, {**base.hyperparameters, **dict(zip(grid, values, strict=True))})
        for values in product(*grid.values())
    ]


def rng_of(seed: int, recipe: Recipe) -> np.random.Generator:
    """Return the generator of a recipe's fit: it depends on the seed and the model's name alone."""
    return np.random.default_rng([seed, zlib.crc32(recipe.model.encode())])


def _part_of(progress: Callable[[Recipe, float], None], recipe: Recipe, nth: int, n_parts: int) -> Progress:
    """Return the progress of one recipe of several as a part of the whole."""
    return lambda fraction: progress(recipe, (nth + fraction) / n_parts)


def rows_of(candidates: Sequence[Candidate]) -> Iterator[dict[str, object]]:
    """Yield a table row per candidate: recipe, metrics, 95 % interval of the mean nDCG, segments, measurements."""
    for candidate in candidates:
        judgement = candidate.judgement
        yield {
            "model": candidate.recipe.model,
            "hyperparameters": dict(candidate.recipe.hyperparameters),
            "metrics": judgement.metrics(),
            "ndcg_interval": judgement.ndcg_interval(),
            "ndcg_by_history_length": judgement.ndcg_by_segment(),
            "users_by_history_length": judgement.users_by_segment(),
            "n_judged_users": judgement.n_judged,
            "fit_seconds": candidate.fit_seconds,
            "answer_seconds": candidate.answer_seconds,
            "model_bytes": candidate.model_bytes,
            "peak_memory_bytes": candidate.peak_memory_bytes,
        }
