"""Progress of work that consists of parts and recipes."""

from collections.abc import Callable

from cineclub.domain.recommend.recipe import Recipe
from cineclub.domain.recommend.recommender import Progress

RecipeProgress = Callable[[Recipe, float], None]
"""Receives the recipe under way and the finished fraction, 0 to 1; may raise to stop the work."""


def ignore_progress(_recipe: Recipe, _fraction: float) -> None:
    """Drop the progress."""


def part_of(progress: RecipeProgress, part: int, n_parts: int) -> RecipeProgress:
    """Return the progress of one of several equal parts, numbered from 0."""
    return lambda recipe, fraction: progress(recipe, (part + fraction) / n_parts)


def span_of(progress: Progress, start: float, end: float) -> Progress:
    """Return a progress that reports its fraction, 0 to 1, as one from ``start`` to ``end`` of another."""
    return lambda fraction: progress(start + (end - start) * fraction)


def part_of_recipe(progress: RecipeProgress, recipe: Recipe) -> Progress:
    """Return the progress of the fit of one recipe."""
    return lambda fraction: progress(recipe, fraction)
