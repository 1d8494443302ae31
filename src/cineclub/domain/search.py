"""Which point of a grid is best: every point tried to the end, or hopeless ones stopped early."""

import math
from collections.abc import Callable, Sequence

from cineclub.domain.recipe import Recipe
from cineclub.domain.scoreboard import LeftOut, Scoreboard, Trial
from cineclub.domain.training_plan import SearchKind

KEPT_SHARE = 1 / 3
RUNGS = (1 / 9, 1 / 3, 1.0)
"""Shares of the users that the points of a round learn from; after each round the best third goes on."""

FEWEST_KEPT = 2

Tell = Callable[[Recipe, float], None]
"""Told which recipe is under way and the finished fraction of the search; may raise to stop."""


def search(trial: Trial, points: Sequence[Recipe], kind: SearchKind, user_share: float, tell: Tell) -> Scoreboard:
    """Return the scoreboard of a grid's points, judged on the trial's people.

    Args:
        trial: the common ground of the points.
        points: what to try.
        kind: ``halving`` tries all points on a ninth of the users, the best third of them on a third, and the best
            third of those on all (Jamieson & Talwalkar 2016); anything else tries every point on all.
        user_share: which share of the users stands for all; below 1 the best point is fitted once more on the whole
            trial, so that it can be compared with other candidates, and is the only candidate.
        tell: told of the progress.
    """
    sample = trial.of_user_share(user_share)
    searched = _halving(sample, points, tell) if kind == "halving" else sample.run_all(points, tell)
    if user_share >= 1 or not searched.candidates:
        return searched
    best = trial.run_all([searched.best().recipe], lambda recipe, _fraction: tell(recipe, 1.0))
    return Scoreboard(best.candidates, searched.left_out + best.left_out, searched.candidates)


def _halving(trial: Trial, points: Sequence[Recipe], tell: Tell) -> Scoreboard:
    """Return the scoreboard of the points that came to the last round, the others left out with the reason."""
    left_out: list[LeftOut] = []
    remaining = list(points)
    for nth, share in enumerate(RUNGS):
        if share < 1 and len(remaining) <= FEWEST_KEPT:
            continue
        board = trial.of_user_share(share).run_all(remaining, _part_of(tell, nth))
        left_out += board.left_out
        if share == RUNGS[-1]:
            break
        ranked = sorted(board.candidates, key=lambda candidate: -candidate.primary)
        n_kept = max(math.ceil(KEPT_SHARE * len(ranked)), FEWEST_KEPT)
        remaining = [candidate.recipe for candidate in ranked[:n_kept]]
        left_out += [
            LeftOut(
                one.recipe,
                f"stopped early: nDCG {one.primary:.4f} on {share:.0%} of the searched users, not among the best",
            )
            for one in ranked[n_kept:]
        ]
    return Scoreboard(board.candidates, tuple(left_out))


def _part_of(tell: Tell, nth: int) -> Tell:
    """Return the progress of one round as a part of the search."""
    return lambda recipe, fraction: tell(recipe, (nth + fraction) / len(RUNGS))
