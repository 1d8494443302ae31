"""The gate: every verdict for its reason, mirrored by a swap, and never a promotion out of nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.evaluation import Judgement
from cineclub.domain.promotion import (
    Incumbent,
    Likeness,
    PromotionDecision,
    decide_promotion,
    hold,
    refresh_instead,
    without_refresh,
)
from cineclub.domain.ratings import RatingScale
from cineclub.domain.recipe import Recipe
from cineclub.domain.training_plan import TrainingPlan

N_USERS = 80
PLAN = TrainingPlan(n_resamples=400)
NOISE = np.random.default_rng(0).normal(0, 0.05, N_USERS)
NOISE -= NOISE.mean()


def judgement(model: str, ndcg: np.ndarray | float, error: float = 1.0, n_listed: int = 400) -> Judgement:
    """A model's judgement with the given nDCG (for each user, or one for all) and squared error."""
    values = np.broadcast_to(np.asarray(ndcg, np.float64), (N_USERS,)) if np.ndim(ndcg) == 0 else np.asarray(ndcg)
    n_users = len(values)
    return Judgement(
        recipe=Recipe(model),
        top_k=10,
        scale=RatingScale(0.5, 5.0),
        n_movies=1000,
        user_ids=np.arange(n_users),
        n_known=np.full(n_users, 3),
        recommended=np.arange(n_users * 10).reshape(n_users, 10) % n_listed,
        per_user={"ndcg": values},
        novelty_bits=np.zeros(n_users),
        squared_errors=np.full(n_users, error),
        absolute_errors=np.full(n_users, error),
        n_predicted=np.ones(n_users, np.int64),
    )


def decide(challenger: Judgement, production: Judgement | None, **incumbent: float | None) -> PromotionDecision:
    """The decision against production, two days old unless said otherwise, and Popular at nDCG 0.05."""
    against = replace(Incumbent(production, 2.0), **incumbent) if production else None
    popular = judgement("popular", 0.05, n_listed=50)
    return decide_promotion(challenger, popular, against, PLAN, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("gain", "age_days", "verdict", "words"),
    [
        (0.05, 2, "PROMOTE", "ease against knn"),
        (-0.05, 2, "REJECT", "guardrail"),
        (0.0, 2, "HOLD", "inconclusive"),
        (0.014, 40, "PROMOTE", "40 days old"),
        (0.0, 40, "HOLD", "inconclusive"),
    ],
)
def test_another_recipe_is_judged_by_the_interval(gain: float, age_days: float, verdict: str, words: str) -> None:
    """Clearly better, clearly worse, inconclusive, and not worse than an old model."""
    decision = decide(judgement("ease", 0.1 + gain + NOISE), judgement("knn", 0.1), age_days=age_days)
    assert (decision.verdict, decision.is_promoted) == (verdict, verdict == "PROMOTE")
    assert words in decision.reason


def test_a_clear_loss_without_a_broken_guardrail_is_rejected() -> None:
    """The interval's high end below zero is enough."""
    long_histories = {"n_known": np.full(N_USERS, 30)}
    worse, better = (replace(judgement(*args), **long_histories) for args in (("ease", 0.05 + NOISE), ("knn", 0.1)))
    decision = decide(worse, better)
    assert decision.verdict == "REJECT"
    assert decision.interval.high < 0
    assert "guardrail" not in decision.reason


@pytest.mark.parametrize(
    ("challenger", "words"),
    [
        (judgement("ease", 0.2, error=1.1), "RMSE rose"),
        (judgement("ease", 0.2, n_listed=300), "coverage fell"),
        (
            replace(judgement("ease", np.r_[np.full(40, 0.5), np.full(40, 0.05)]), n_known=np.repeat([30, 3], 40)),
            "nDCG of",
        ),
    ],
)
def test_a_broken_guardrail_rejects_a_better_model(challenger: Judgement, words: str) -> None:
    """Better lists on average do not pay for rating errors, a narrow catalogue or worse answers to newcomers."""
    production = replace(judgement("knn", 0.1), n_known=challenger.n_known)
    decision = decide(challenger, production)
    assert decision.verdict == "REJECT"
    assert words in decision.reason


def test_a_model_without_stars_breaks_no_rating_guardrail() -> None:
    """Where one of the two predicts no stars, rating errors are not compared."""
    challenger = replace(judgement("ease", 0.2, error=9.0), n_predicted=np.zeros(N_USERS, np.int64))
    assert decide(challenger, judgement("knn", 0.1)).verdict == "PROMOTE"


@pytest.mark.parametrize(("ndcg", "verdict"), [(0.1, "REFRESH"), (0.04, "HOLD")])
def test_the_same_recipe_is_refreshed_if_it_still_earns_its_place(ndcg: float, verdict: str) -> None:
    """A refit has to beat Popular."""
    assert decide(judgement("ease", ndcg), judgement("ease", ndcg)).verdict == verdict


@pytest.mark.parametrize(
    ("list_overlap", "kept_coverage", "words"),
    [
        (0.7, 0.9, ""),
        (0.1, 0.8, ""),
        (float("nan"), 1.0, ""),
        (0.01, 1.0, "share 1% with production's, at least 10% needed"),
        (0.7, 0.5, "50% of as many films as production, at least 80% needed"),
    ],
)
def test_a_refit_whose_lists_are_not_like_productions_is_broken(
    list_overlap: float, kept_coverage: float, words: str
) -> None:
    """Other films for the same people, or far fewer of them."""
    fault = Likeness(list_overlap, kept_coverage).fault(Recipe("ease"), PLAN)
    assert (words in fault, bool(fault)) == (True, bool(words))


def test_a_broken_refit_is_rejected_and_leaves_another_challengers_verdict_as_it_is() -> None:
    """Whether the refit was the challenger, or was made instead of one that is held."""
    refit = without_refresh(decide(judgement("ease", 0.1), judgement("ease", 0.1)), "broken")
    assert (refit.verdict, refit.reason) == ("REJECT", "broken")
    held = decide(judgement("ease", 0.1), judgement("knn", 0.1))
    kept = without_refresh(held, "broken")
    assert (kept.verdict, kept.recipe, kept.reason) == ("HOLD", held.recipe, f"{held.reason}; broken")


def test_a_refit_that_is_worse_than_what_is_deployed_is_rejected() -> None:
    """On ratings that production never saw, its own refit must not lose for certain."""
    worse, deployed = judgement("ease", 0.1 + NOISE), judgement("ease", 0.2)
    long_histories = {"n_known": np.full(N_USERS, 30)}
    decision = decide(replace(worse, **long_histories), replace(deployed, **long_histories), comparison="as deployed")
    assert decision.verdict == "REJECT"
    assert "as deployed" in decision.reason


def test_drift_lets_a_challenger_in_that_is_not_worse() -> None:
    """As old age does, and the reason names it."""
    decision = decide(judgement("ease", 0.114 + NOISE), judgement("knn", 0.1), is_in_drift=True)
    assert (decision.verdict, "in drift" in decision.reason) == ("PROMOTE", True)


@pytest.mark.parametrize(
    ("challenger", "production", "expected"),
    [(0.1, 0.1, "REFRESH"), (0.02, 0.1, "REFRESH"), (0.2, 0.1, None), (0.1, 0.04, None)],
)
def test_production_is_refitted_where_a_challenger_does_not_replace_it(
    challenger: float, production: float, expected: str | None
) -> None:
    """Held or rejected: production learns from newer ratings; not where it lost, or no longer beats Popular."""
    popular = judgement("popular", 0.05, n_listed=50)
    incumbent = Incumbent(judgement("knn", production), 2.0)
    contender = judgement("ease", challenger + NOISE)
    verdict = decide_promotion(contender, popular, incumbent, PLAN, np.random.default_rng(1))
    instead = refresh_instead(verdict, popular, incumbent, PLAN)
    if verdict.is_promoted:
        assert instead is None
    else:
        assert (instead.verdict if instead else None) == expected
        assert instead is None or verdict.reason in instead.reason


def test_a_person_of_several_windows_counts_once() -> None:
    """Four windows of one person weigh as much as one window of another."""
    one = replace(judgement("ease", np.array([1.0, 1.0, 1.0, 1.0, 0.0])), user_ids=np.array([7, 7, 7, 7, 9]))
    assert one.metrics()["ndcg_at_10"] == 0.5
    assert (one.n_judged, one.users_by_segment()["1-4"]) == (2, 2)


def test_popular_in_production_is_refreshed() -> None:
    """Popular need not beat itself."""
    assert decide(judgement("popular", 0.05), judgement("popular", 0.05)).verdict == "REFRESH"


@pytest.mark.parametrize(
    ("model", "ndcg", "promoted", "words"),
    [
        ("ease", 0.1, "ease", "nothing is in production yet"),
        ("ease", 0.05, "popular", "nothing beat popular"),
        ("popular", 0.05, "popular", "best candidate"),
        ("ease", np.full(20, 0.5), "popular", "not enough evidence (20 judged users, 50 needed)"),
    ],
)
def test_the_first_model_must_beat_popular(model: str, ndcg: np.ndarray | float, promoted: str, words: str) -> None:
    """Without production something is promoted in any case: the challenger for good reasons only, else Popular."""
    challenger = judgement(model, ndcg)
    popular = judgement("popular", np.full(len(challenger.ndcg), 0.05), n_listed=50)
    decision = decide_promotion(challenger, popular, None, PLAN, np.random.default_rng(1))
    assert decision.verdict == "PROMOTE"
    assert decision.recipe.model == promoted
    assert words in decision.reason


def test_too_few_judged_users_hold_everything() -> None:
    """However large the difference."""
    decision = decide_promotion(
        judgement("ease", np.full(49, 0.9)),
        judgement("popular", np.full(49, 0.1)),
        Incumbent(judgement("knn", np.full(49, 0.1)), 99.0),
        PLAN,
        np.random.default_rng(1),
    )
    assert decision.verdict == "HOLD"
    assert "not enough evidence" in decision.reason


def test_a_production_that_cannot_be_judged_stays() -> None:
    """The decision to change nothing carries its reason."""
    decision = hold(judgement("ease", 0.2), judgement("popular", 0.1), "knn is too large", PLAN)
    assert (decision.verdict, decision.reason) == ("HOLD", "knn is too large")


scores = st.lists(st.floats(0, 1), min_size=N_USERS, max_size=N_USERS).map(np.array)


@given(scores, scores)
def test_swapping_the_two_models_mirrors_the_decision(ours: np.ndarray, theirs: np.ndarray) -> None:
    """What is a promotion one way round is never one the other way round, and the interval changes its sign."""
    one = decide(judgement("ease", ours), judgement("knn", theirs))
    other = decide(judgement("knn", theirs), judgement("ease", ours))
    assert (one.interval.low, one.interval.high) == (-other.interval.high, -other.interval.low)
    if one.verdict == "PROMOTE":
        assert other.verdict == "REJECT"


@given(scores)
def test_equal_models_are_never_promoted_over_each_other(values: np.ndarray) -> None:
    """Without a difference there is no promotion."""
    assert decide(judgement("ease", values), judgement("knn", values)).verdict == "HOLD"


@given(scores, scores)
def test_the_decision_is_deterministic(ours: np.ndarray, theirs: np.ndarray) -> None:
    """The same judgements and seed give the same decision, word for word."""
    one, other = (decide(judgement("ease", ours), judgement("knn", theirs)) for _ in range(2))
    assert (one.verdict, one.reason, one.interval) == (other.verdict, other.reason, other.interval)
