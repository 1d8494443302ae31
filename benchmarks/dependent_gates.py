"""Simulated walks in time with the nDCG of several recipes, whose luck is shared by movie and day, for the real gate.

All recipes are equal in expectation over movies, days and people. In one world they are not equal: the few movies of
the week are on the list of one recipe and not on that of the other, for everybody who meets them; and so are days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import Clustering, Rows, clustered_mean
from cineclub.domain.promotion.evidence import best_of
from cineclub.domain.promotion.gate import Incumbent, decide_promotion, floor_takes_over
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.recommend.recipe import Recipe
from simulated_gates import LISTS, N_NIGHTS

N_NEW_FILMS, N_OLD_FILMS, SHARE_OF_NEW = 300, 1500, 0.7
POPULARITY_HALF_LIFE_DAYS, SPREAD_OF_POPULARITY = 10.0, 1.2
SHARE_OF_FIRST_DAY, RETURN_RATE, ROW_RATE = 0.7, 0.15, 0.3
HIT_OF_NEW, HIT_OF_OLD, SPREAD_OF_PEOPLE = -1.2, -2.6, 0.5
SHARE_OF_SAME_FILMS = 0.3
SHARED_BY_TRENDS = 0.9
TRENDS = ("trend 0", "trend 1", "trend 3", "trend 7", "trend 30")
RECIPES = ("challenger", "production", *TRENDS)
TWO_RECIPES = RECIPES[:2]
WINDOW_DAYS = 15
CLUSTERINGS: Mapping[str, tuple[Clustering, ...]] = {
    "people": ("users",),
    "people, films, days": ("users", "movies", "days"),
    "and all at once": ("users", "movies", "days", "all at once"),
}


@dataclass(frozen=True, slots=True)
class World:
    """How much luck is shared: the spread of a recipe's hits, in logits, by movie, by day and by person."""

    name: str
    by_film: float
    by_day: float
    by_person: float
    people_a_day: int = 60
    n_days: int = WINDOW_DAYS


@dataclass(frozen=True, slots=True)
class Walk:
    """Judged likes with the nDCG of each recipe, (n_recipes, n_rows), in the order of its names."""

    rows: Rows
    ndcg: NDArray[np.float64]

    def between(self, first: int, end: int) -> "Walk":
        """Return the rows of the days ``first`` <= day < ``end``."""
        is_inside = (self.rows.days >= first) & (self.rows.days < end)
        return Walk(self.rows.take(is_inside), self.ndcg[:, is_inside])


def walk(rng: np.random.Generator, world: World, recipes: int = 2, lift: float = 0.0) -> Walk:
    """Return the likes of a world's days; the expected nDCG of the first recipe is higher by ``lift``."""
    rows = _likes(rng, world)
    n_movies = N_NEW_FILMS + N_OLD_FILMS
    is_same = rng.random(n_movies) < SHARE_OF_SAME_FILMS
    by_film = _effects(rng, world.by_film, (recipes, n_movies))
    by_film[1:, is_same] = by_film[0, is_same]
    by_day = _effects(rng, world.by_day, (recipes, world.n_days))
    people = int(rows.user_ids.max()) + 1
    by_person = _effects(rng, world.by_person, (recipes, people)) + rng.normal(0, SPREAD_OF_PEOPLE, people)
    base = np.where(rows.movie_ids < N_NEW_FILMS, HIT_OF_NEW, HIT_OF_OLD)
    logits = base + by_film[:, rows.movie_ids] + by_day[:, rows.days] + by_person[:, rows.user_ids]
    luck = rng.random(logits.shape)
    luck[1:, is_same[rows.movie_ids]] = luck[0, is_same[rows.movie_ids]]
    gain = 1 / np.log2(_places(rng, world, rows.movie_ids, is_same, recipes) + 1)
    ndcg = np.where(luck < 1 / (1 + np.exp(-logits)), gain, 0.0)
    ndcg[0] = _lifted(rng, ndcg[0], gain[0], lift)
    return Walk(rows, ndcg)


def is_certain(walk: Walk, plan: TrainingPlan) -> dict[str, bool]:
    """Return whether the first recipe is better for certain than the second, by clusterings that are allowed for."""
    difference = clustered_mean(walk.ndcg[0] - walk.ndcg[1], walk.rows)
    return {
        name: replace(difference, spreads={part: difference.spreads[part] for part in parts})
        .interval(plan.gate_confidence)
        .low
        > 0
        for name, parts in CLUSTERINGS.items()
    }


def has_false_promotion(rng: np.random.Generator, world: World, plan: TrainingPlan) -> dict[str, bool]:
    """Return whether any of 30 nightly gates promotes an equal, with people alone as clusters and with all.

    Every night the window moves by a day. Both the challenger and the best of five trends may replace production.
    """
    month = walk(rng, replace(world, n_days=world.n_days + N_NIGHTS - 1), len(RECIPES))
    nights = [month.between(night, night + world.n_days) for night in range(N_NIGHTS)]
    return {
        "people": any(_is_replaced(_evaluations(night, has_days=False), plan, rng) for night in nights),
        "and all at once": any(_is_replaced(_evaluations(night), plan, rng) for night in nights),
    }


def serves_first(walk: Walk, plan: TrainingPlan, rng: np.random.Generator) -> bool:
    """Return whether the first recipe serves where nothing is in production, with the second as the floor."""
    challenger, floor = _evaluations(walk)
    return decide_promotion(challenger, floor, None, plan, rng).recipe == challenger.recipe


def is_promoted_over(walk: Walk, plan: TrainingPlan, rng: np.random.Generator) -> bool:
    """Return whether the gate lets the first recipe replace the second; the floor is beaten by both."""
    challenger, production = _evaluations(walk)
    floor = replace(production, recipe=Recipe("popular"), per_user={"ndcg": np.zeros(len(walk.rows.days))})
    return decide_promotion(challenger, floor, Incumbent(production, 1.0), plan, rng).is_promoted


def _is_replaced(evaluations: list[Evaluation], plan: TrainingPlan, rng: np.random.Generator) -> bool:
    """Return whether the challenger or the best trend replaces production."""
    challenger, production, *trends = evaluations
    floor, incumbent = best_of(trends), Incumbent(production, 1.0)
    verdict = decide_promotion(challenger, floor, incumbent, plan, rng)
    return verdict.is_promoted or floor_takes_over(verdict, challenger, floor, incumbent, plan, rng) is not None


def _places(
    rng: np.random.Generator,
    world: World,
    movie_ids: NDArray[np.int64],
    is_same: NDArray[np.bool_],
    recipes: int,
) -> NDArray[np.int64]:
    """Return the place of each row's movie on each recipe's list, (n_recipes, n_rows): nearly the same for everybody.

    In a world where movies share no luck every row has a place of its own.
    """
    if not world.by_film:
        return rng.integers(1, LISTS + 1, (recipes, len(movie_ids)))
    usual = rng.integers(1, LISTS + 1, (recipes, len(is_same)))
    usual[1:, is_same] = usual[0, is_same]
    return np.clip(usual[:, movie_ids] + rng.integers(-1, 2, len(movie_ids)), 1, LISTS)


def _effects(rng: np.random.Generator, spread: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return a recipe's luck, (n_recipes, n); trends, the recipes after two, have most of it in common."""
    effects = rng.normal(0, spread, shape)
    common = rng.normal(0, spread, shape[1])
    effects[2:] = np.sqrt(SHARED_BY_TRENDS) * common + np.sqrt(1 - SHARED_BY_TRENDS) * effects[2:]
    return effects


def _likes(rng: np.random.Generator, world: World) -> Rows:
    """Return who likes what on which day: new people every day, some of whom return, and movies that age."""
    n_people = world.people_a_day * world.n_days
    users = np.repeat(np.arange(n_people), rng.geometric(ROW_RATE, n_people))
    returns = np.where(rng.random(len(users)) < SHARE_OF_FIRST_DAY, 0, rng.geometric(RETURN_RATE, len(users)))
    days = users // world.people_a_day + returns
    users, days = users[days < world.n_days], days[days < world.n_days]
    born = rng.integers(-60, world.n_days, N_NEW_FILMS)
    appeal = np.exp(rng.normal(0, SPREAD_OF_POPULARITY, N_NEW_FILMS))
    movies = N_NEW_FILMS + rng.choice(N_OLD_FILMS, len(users), p=_old_shares())
    is_new = rng.random(len(users)) < SHARE_OF_NEW
    for day in range(world.n_days):
        shares = np.where(born <= day, appeal * 0.5 ** ((day - born) / POPULARITY_HALF_LIFE_DAYS), 0.0)
        today = np.flatnonzero(is_new & (days == day))
        movies[today] = rng.choice(N_NEW_FILMS, len(today), p=shares / shares.sum())
    _, once = np.unique(users * (N_NEW_FILMS + N_OLD_FILMS) + movies, return_index=True)
    return Rows(users[once], movies[once], days[once])


def _old_shares() -> NDArray[np.float64]:
    """Return the share of each old movie in their likes, shape (N_OLD_FILMS,)."""
    shares = 1 / np.arange(10, N_OLD_FILMS + 10)
    return np.asarray(shares / shares.sum(), np.float64)


def _lifted(
    rng: np.random.Generator, ndcg: NDArray[np.float64], gain: NDArray[np.float64], lift: float
) -> NDArray[np.float64]:
    """Return the values, (n_rows,), with hits added or taken away so that their mean changes by ``lift``."""
    changed = np.where(ndcg == 0, gain, 0.0) if lift > 0 else ndcg
    chance = abs(lift) / changed.mean() if lift else 0.0
    is_changed = (rng.random(len(ndcg)) < chance) & (changed > 0)
    return np.where(is_changed, gain if lift > 0 else 0.0, ndcg)


def _evaluations(walk: Walk, *, has_days: bool = True) -> list[Evaluation]:
    """Return an evaluation of each recipe; without days the clusters are people alone."""
    rows = walk.rows if has_days else replace(walk.rows, movie_ids=np.empty(0, int), days=np.empty(0, int))
    return [_evaluation(name, ndcg, rows) for name, ndcg in zip(RECIPES, walk.ndcg, strict=False)]


def _evaluation(model: str, ndcg: NDArray[np.float64], rows: Rows) -> Evaluation:
    """Return an evaluation with the nDCG of the rows; all other metrics are constant."""
    n_rows = len(ndcg)
    name, _, half_life = model.partition(" ")
    return Evaluation(
        recipe=Recipe(name, {"half_life_days": float(half_life)} if half_life else {}),
        top_k=LISTS,
        scale=RatingScale(0.5, 5.0),
        n_movies=1000,
        user_ids=rows.user_ids,
        n_known=np.full(n_rows, 30),
        recommended=np.arange(LISTS)[None].repeat(n_rows, 0),
        per_user={"ndcg": ndcg},
        novelty_bits=np.zeros(n_rows),
        squared_errors=np.zeros(n_rows),
        absolute_errors=np.zeros(n_rows),
        n_predicted=np.zeros(n_rows, np.int64),
        movie_ids=rows.movie_ids,
        days=rows.days,
    )
