"""Simulated users with the nDCG of two recipes, zero-inflated like real ones, for the real gate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.promotion.gate import Incumbent, decide_promotion
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.recommend.recipe import Recipe

SHARE_WITH_HITS = 0.25
HIT_SHAPE = (1.2, 2.5)
SHARE_WITH_SAME_LISTS = 0.5
MEAN_HIT = HIT_SHAPE[0] / sum(HIT_SHAPE)
N_NIGHTS = 30
NIGHTS_A_WINDOW = 10
LISTS = 10


@dataclass(frozen=True, slots=True)
class People:
    """Each user's nDCG under two recipes, both of shape (n_users,)."""

    challenger: NDArray[np.float64]
    production: NDArray[np.float64]

    def part(self, start: int, n_users: int) -> "People":
        """Return a range of users."""
        rows = slice(start, start + n_users)
        return People(self.challenger[rows], self.production[rows])


def people(rng: np.random.Generator, n_users: int, lift: float = 0.0) -> People:
    """Return users whose expected nDCG under the challenger is higher by ``lift``.

    Three quarters have no hit in a list; half have equal lists under both, as with recipes of one catalogue. A lift
    gives some users an additional hit.
    """
    production = _ndcg(rng, n_users)
    challenger = np.where(rng.random(n_users) < SHARE_WITH_SAME_LISTS, production, _ndcg(rng, n_users))
    gains = rng.random(n_users) < lift / (MEAN_HIT * (1 - SHARE_WITH_HITS))
    return People(np.where(gains & (challenger == 0), rng.beta(*HIT_SHAPE, n_users), challenger), production)


def is_promoted(people: People, plan: TrainingPlan, rng: np.random.Generator) -> bool:
    """Return whether the gate lets the challenger replace production."""
    challenger, production = _evaluation("challenger", people.challenger), _evaluation("production", people.production)
    popular = _evaluation("popular", np.zeros(len(people.production)))
    return decide_promotion(challenger, popular, Incumbent(production, 1.0), plan, rng).is_promoted


def is_any_of_a_month_promoted(rng: np.random.Generator, n_users: int, plan: TrainingPlan) -> bool:
    """Return whether any of 30 nightly gates promotes an equal; a tenth of the users is new every night."""
    n_new = n_users // NIGHTS_A_WINDOW
    everybody = people(rng, n_users + (N_NIGHTS - 1) * n_new)
    return any(is_promoted(everybody.part(night * n_new, n_users), plan, rng) for night in range(N_NIGHTS))


def _ndcg(rng: np.random.Generator, n_users: int) -> NDArray[np.float64]:
    """Return zero-inflated values between 0 and 1, shape (n_users,)."""
    return np.where(rng.random(n_users) < SHARE_WITH_HITS, rng.beta(*HIT_SHAPE, n_users), 0.0)


def _evaluation(model: str, ndcg: NDArray[np.float64]) -> Evaluation:
    """Return an evaluation with the nDCG of the lists; all other metrics are constant."""
    n_users = len(ndcg)
    return Evaluation(
        recipe=Recipe(model),
        top_k=LISTS,
        scale=RatingScale(0.5, 5.0),
        n_movies=1000,
        user_ids=np.arange(n_users),
        n_known=np.full(n_users, 30),
        recommended=np.arange(n_users * LISTS).reshape(n_users, LISTS) % 1000,
        per_user={"ndcg": ndcg},
        novelty_bits=np.zeros(n_users),
        squared_errors=np.zeros(n_users),
        absolute_errors=np.zeros(n_users),
        n_predicted=np.zeros(n_users, np.int64),
    )
