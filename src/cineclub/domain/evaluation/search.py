"""Search of a grid: every point fitted on all ratings, or successive halving."""

import math
from collections.abc import Sequence

from cineclub.domain.evaluation.plan import SearchKind
from cineclub.domain.evaluation.progress import RecipeProgress, part_of
from cineclub.domain.evaluation.scoreboard import Candidate, Fold, LeftOut, Scoreboard
from cineclub.domain.recommend.recipe import Recipe

KEPT_SHARE = 1 / 3
RUNGS = (1 / 9, 1 / 3, 1.0)
"""The share of the users whose ratings a round fits on; after each round the best third goes on."""

FEWEST_KEPT = 2


def search(
    fold: Fold,
    points: Sequence[Recipe],
    kind: SearchKind,
    user_share: float,
    progress: RecipeProgress,
    known: Sequence[Candidate] = (),
) -> Scoreboard:
    """Return the scoreboard of a grid's points.

    Args:
        fold: the ratings to fit on and the window to evaluate on.
        points: the recipes.
        kind: ``halving`` fits all points on a ninth of the users, the best third of them on a third, and the best
            third of those on all (Jamieson & Talwalkar 2016); any other kind fits every point on all.
        user_share: the share of the users that is searched on; below 1 the best point is fitted once more on the whole
            fold, so that it can be compared with other candidates, and is the only candidate.
        progress: receives the recipe under way and the finished fraction of all.
        known: candidates of the same fold; where a point is wanted on the whole fold and is one of them, it is not
            fitted again.
    """
    if user_share >= 1 and kind != "halving":
        return _of_all_points(fold, points, progress, known)
    sample = fold.of_user_share(user_share)
    searched = _halving(sample, points, progress) if kind == "halving" else sample.run_all(points, progress)
    if user_share >= 1 or not searched.candidates:
        return searched
    best = _of_all_points(fold, [searched.best().recipe], lambda recipe, _fraction: progress(recipe, 1.0), known)
    return Scoreboard(best.candidates, searched.left_out + best.left_out, searched.candidates)


def _of_all_points(
    fold: Fold, points: Sequence[Recipe], progress: RecipeProgress, known: Sequence[Candidate]
) -> Scoreboard:
    """Return the scoreboard of all points on the whole fold; those that are not known are fitted."""
    by_point = {candidate.recipe: candidate for candidate in known}
    unknown = [point for point in points if point not in by_point]
    board = fold.run_all(unknown, progress)
    refused = {left.recipe for left in board.left_out}
    by_point |= zip((point for point in unknown if point not in refused), board.candidates, strict=True)
    return Scoreboard(tuple(by_point[point] for point in points if point in by_point), board.left_out)


def _halving(fold: Fold, points: Sequence[Recipe], progress: RecipeProgress) -> Scoreboard:
    """Return the scoreboard of the points of the last round; the others are left out with the reason."""
    left_out: list[LeftOut] = []
    remaining = list(points)
    for nth, share in enumerate(RUNGS):
        if share < 1 and len(remaining) <= FEWEST_KEPT:
            continue
        board = fold.of_user_share(share).run_all(remaining, part_of(progress, nth, len(RUNGS)))
        left_out += board.left_out
        if share == RUNGS[-1]:
            break
        ranked = sorted(board.candidates, key=lambda candidate: -candidate.primary)
        n_kept = max(math.ceil(KEPT_SHARE * len(ranked)), FEWEST_KEPT)
        remaining = [candidate.recipe for candidate in ranked[:n_kept]]
        left_out += [
            LeftOut(
                candidate.recipe,
                f"stopped early: nDCG {candidate.primary:.4f} on {share:.0%} of the searched users, not among the best",
            )
            for candidate in ranked[n_kept:]
        ]
    return Scoreboard(board.candidates, tuple(left_out))
