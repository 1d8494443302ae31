"""The gate: each verdict with its reason, symmetry under a swap, and no promotion without evidence."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cineclub.domain.evaluation.evaluate import Evaluation
from cineclub.domain.evaluation.plan import N_TRENDS, TrainingPlan
from cineclub.domain.evaluation.significance import Rows, clustered_mean
from cineclub.domain.promotion.evidence import best_of
from cineclub.domain.promotion.gate import (
    Incumbent,
    PromotionDecision,
    RefitSimilarity,
    decide_promotion,
    fallback_refit,
    floor_takes_over,
    hold,
    without_refresh,
)
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models.catalogue import FLOORS

N_USERS = 80
PLAN = TrainingPlan(n_resamples=400)
NOISE = np.random.default_rng(0).normal(0, 0.05, N_USERS)
NOISE -= NOISE.mean()


def evaluation(model: str, ndcg: np.ndarray | float, error: float = 1.0, n_listed: int = 400) -> Evaluation:
    """Return a model's evaluation with the given nDCG (by user, or one for all) and squared error."""
    values = np.broadcast_to(np.asarray(ndcg, np.float64), (N_USERS,)) if np.ndim(ndcg) == 0 else np.asarray(ndcg)
    n_users = len(values)
    return Evaluation(
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


def decide(challenger: Evaluation, production: Evaluation | None, **incumbent: float | None) -> PromotionDecision:
    """Return the decision against production, two days old by default, and Popular at nDCG 0.05."""
    against = replace(Incumbent(production, 2.0), **incumbent) if production else None
    popular = evaluation("popular", 0.05, n_listed=50)
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
    """The interval decides: clearly better, clearly worse, inconclusive, or not worse than an old model."""
    decision = decide(evaluation("ease", 0.1 + gain + NOISE), evaluation("knn", 0.1), age_days=age_days)
    assert (decision.verdict, decision.is_promoted) == (verdict, verdict == "PROMOTE")
    assert words in decision.reason


def test_a_clear_loss_without_a_broken_guardrail_is_rejected() -> None:
    """An interval below zero rejects the challenger."""
    long_histories = {"n_known": np.full(N_USERS, 30)}
    worse, better = (replace(evaluation(*args), **long_histories) for args in (("ease", 0.05 + NOISE), ("knn", 0.1)))
    decision = decide(worse, better)
    assert decision.verdict == "REJECT"
    assert decision.interval.high < 0
    assert "guardrail" not in decision.reason


@pytest.mark.parametrize(
    ("challenger", "words"),
    [
        (evaluation("ease", 0.2, error=1.1), "RMSE rose"),
        (evaluation("ease", 0.2, n_listed=300), "coverage fell"),
        (
            replace(evaluation("ease", np.r_[np.full(40, 0.5), np.full(40, 0.05)]), n_known=np.repeat([30, 3], 40)),
            "nDCG of",
        ),
    ],
)
def test_a_broken_guardrail_rejects_a_better_model(challenger: Evaluation, words: str) -> None:
    """Better lists do not make up for worse rating errors, coverage or lists of new users."""
    production = replace(evaluation("knn", 0.1), n_known=challenger.n_known)
    decision = decide(challenger, production)
    assert decision.verdict == "REJECT"
    assert words in decision.reason


def test_a_larger_vocabulary_is_no_fall_of_coverage() -> None:
    """Lists of as many different films break no guardrail, however many films the challenger knows beside them."""
    production = evaluation("knn", 0.1)
    challenger = evaluation("combination", 0.2 + NOISE)
    wide = replace(challenger, n_movies=10 * challenger.n_movies)
    assert decide(wide, production).verdict == decide(challenger, production).verdict == "PROMOTE"


def test_a_model_without_stars_breaks_no_rating_guardrail() -> None:
    """If one of the models predicts no stars, rating errors are not compared."""
    challenger = replace(evaluation("ease", 0.2, error=9.0), n_predicted=np.zeros(N_USERS, np.int64))
    assert decide(challenger, evaluation("knn", 0.1)).verdict == "PROMOTE"


@pytest.mark.parametrize(("ndcg", "verdict"), [(0.1, "REFRESH"), (0.045, "REFRESH"), (0.03, "HOLD")])
def test_the_same_recipe_is_refreshed_unless_it_is_below_the_floor(ndcg: float, verdict: str) -> None:
    """A refit may be below the best trend by no more than the margin, a fifth of its nDCG of 0.05."""
    assert decide(evaluation("ease", ndcg), evaluation("ease", ndcg)).verdict == verdict


@pytest.mark.parametrize(
    ("list_overlap", "relative_coverage", "words"),
    [
        (0.7, 0.9, ""),
        (0.1, 0.8, ""),
        (float("nan"), 1.0, ""),
        (0.01, 1.0, "share 1% with production's, at least 10% needed"),
        (0.7, 0.5, "50% as many different films as production, at least 80% needed"),
    ],
)
def test_a_refit_whose_lists_are_not_like_productions_is_broken(
    list_overlap: float, relative_coverage: float, words: str
) -> None:
    """A refit with other films for the same users, or far fewer films, is broken."""
    fault = RefitSimilarity(list_overlap, relative_coverage).fault(Recipe("ease"), PLAN)
    assert (words in fault, bool(fault)) == (True, bool(words))


def test_a_broken_refit_is_rejected_and_leaves_another_challengers_verdict_as_it_is() -> None:
    """A broken refit is rejected, as the challenger or in place of a held one, whose verdict stays."""
    refit = without_refresh(decide(evaluation("ease", 0.1), evaluation("ease", 0.1)), "broken")
    assert (refit.verdict, refit.reason) == ("REJECT", "broken")
    held = decide(evaluation("ease", 0.1), evaluation("knn", 0.1))
    remaining = without_refresh(held, "broken")
    assert (remaining.verdict, remaining.recipe, remaining.reason) == ("HOLD", held.recipe, f"{held.reason}; broken")


def test_a_refit_that_is_worse_than_what_is_deployed_is_rejected() -> None:
    """On ratings that production never saw, a refit that clearly loses is rejected."""
    worse, deployed = evaluation("ease", 0.1 + NOISE), evaluation("ease", 0.2)
    long_histories = {"n_known": np.full(N_USERS, 30)}
    decision = decide(replace(worse, **long_histories), replace(deployed, **long_histories), comparison="as deployed")
    assert decision.verdict == "REJECT"
    assert "as deployed" in decision.reason


def test_drift_lets_a_challenger_in_that_is_not_worse() -> None:
    """In drift, as for an old model, a challenger that is not worse is promoted with that reason."""
    decision = decide(evaluation("ease", 0.114 + NOISE), evaluation("knn", 0.1), is_in_drift=True)
    assert (decision.verdict, "in drift" in decision.reason) == ("PROMOTE", True)


@pytest.mark.parametrize(
    ("challenger", "production", "own", "expected"),
    [
        (0.1, 0.1, "HOLD", "REFRESH"),
        (0.02, 0.1, "REJECT", "REFRESH"),
        (0.2, 0.1, "PROMOTE", None),
        (0.1, 0.03, "PROMOTE", None),
        (0.03, 0.03, "HOLD", None),
    ],
)
def test_production_is_refitted_where_a_challenger_does_not_replace_it(
    challenger: float, production: float, own: str, expected: str | None
) -> None:
    """If a challenger is held or rejected production is refitted, unless it lost or is below the floor."""
    popular = evaluation("popular", 0.05, n_listed=50)
    incumbent = Incumbent(evaluation("knn", production), 2.0)
    contender = evaluation("ease", challenger + NOISE)
    verdict = decide_promotion(contender, popular, incumbent, PLAN, np.random.default_rng(1))
    instead = fallback_refit(verdict, popular, incumbent, PLAN)
    assert (verdict.verdict, instead.verdict if instead else None) == (own, expected)
    assert instead is None or verdict.reason in instead.reason


def test_a_person_of_several_windows_counts_once() -> None:
    """Four windows of one user weigh as much as one window of another."""
    pooled = replace(evaluation("ease", np.array([1.0, 1.0, 1.0, 1.0, 0.0])), user_ids=np.array([7, 7, 7, 7, 9]))
    assert pooled.metrics()["ndcg_at_10"] == 0.5
    assert (pooled.n_evaluated_users, pooled.users_by_segment()["1-4"]) == (2, 2)


def test_popular_in_production_is_refreshed() -> None:
    """Popular is refreshed without having to beat itself."""
    assert decide(evaluation("popular", 0.05), evaluation("popular", 0.05)).verdict == "REFRESH"


@pytest.mark.parametrize(
    ("model", "ndcg", "promoted", "words"),
    [
        ("ease", 0.1, "ease", "nothing is in production yet and ease against popular, all time"),
        (
            "ease",
            0.05,
            "ease",
            "not shown to be better than popular, all time, but not worse by more than 0.0100 nDCG, 20% of it",
        ),
        ("ease", 0.045, "popular", "no candidate is better than popular, all time"),
        ("ease", 0.048 + NOISE, "ease", "(error 10%)"),
        ("ease", 0.03 + NOISE, "popular", "broke a guardrail (nDCG of users with 1-4 ratings fell"),
        ("ease", 0.038 + 4 * NOISE, "popular", "nothing is shown to be better than popular, all time"),
        ("ease", 0.045 + 3 * NOISE, "popular", "nothing is shown to be better than popular, all time, or not worse"),
        ("popular", 0.05, "popular", "best candidate"),
        ("ease", np.full(20, 0.5), "popular", "not enough evidence: 20 evaluated users, 50 needed"),
    ],
)
def test_the_first_model_is_not_worse_than_the_floor(
    model: str, ndcg: np.ndarray | float, promoted: str, words: str
) -> None:
    """Without production the challenger is promoted if it is better, or not worse beyond the margin, else the floor."""
    challenger = evaluation(model, ndcg)
    popular = evaluation("popular", np.full(len(challenger.ndcg), 0.05), n_listed=50)
    decision = decide_promotion(challenger, popular, None, PLAN, np.random.default_rng(1))
    assert decision.verdict == "PROMOTE"
    assert decision.recipe.model == promoted
    assert words in decision.reason


def test_the_first_model_that_breaks_a_guardrail_gives_way_to_the_floor() -> None:
    """A guardrail holds for a first model too."""
    challenger = evaluation("ease", 0.2, n_listed=30)
    decision = decide_promotion(challenger, evaluation("popular", 0.05), None, PLAN, np.random.default_rng(1))
    assert (decision.recipe.model, "broke a guardrail" in decision.reason) == ("popular", True)


@pytest.mark.parametrize("incumbent", [None, Incumbent(evaluation("knn", 0.05), 2.0)])
def test_an_uncertain_decision_says_what_would_make_it_certain(incumbent: Incumbent | None) -> None:
    """So many users of the same difference and spread make the interval exclude zero, and fewer do not."""
    noise = 3 * NOISE
    floor = evaluation("popular", 0.05, n_listed=50)
    decision = decide_promotion(evaluation("ease", 0.062 + noise), floor, incumbent, PLAN, np.random.default_rng(1))
    n_users = decision.numbers["users_for_certainty"]
    assert f"about {n_users:,.0f} evaluated users would make it certain at this difference" in decision.reason
    assert decision.interval.low < 0

    def is_certain(n: int) -> bool:
        values = np.tile(0.012 + noise, round(n / N_USERS))
        rows = Rows(np.arange(len(values)), np.empty(0, int), np.empty(0, int))
        return clustered_mean(values, rows).interval(PLAN.gate_confidence).low > 0

    assert is_certain(int(n_users))
    assert not is_certain(int(0.8 * n_users))


def test_a_certain_decision_needs_no_more_evidence_and_a_loss_has_none() -> None:
    """There is no number where the challenger is better already, or not better by estimate."""
    floor = evaluation("popular", 0.05, n_listed=50)
    for ndcg in (0.2, 0.048 + NOISE):
        decision = decide_promotion(evaluation("ease", ndcg), floor, None, PLAN, np.random.default_rng(1))
        assert np.isnan(decision.numbers["users_for_certainty"])
        assert "would make it certain" not in decision.reason


@pytest.mark.parametrize(
    ("production", "challenger", "expected"),
    [
        (0.02, 0.04, "popular"),
        (0.02, 0.09, None),
        (0.049, 0.049, None),
        (0.1, 0.02, None),
    ],
)
def test_a_production_below_the_best_trend_for_certain_is_replaced(
    production: float, challenger: float, expected: str | None
) -> None:
    """The floor takes over from a model that is worse for certain, unless a challenger that is no worse does."""
    floor = evaluation("popular", 0.05 + NOISE / 4, n_listed=50)
    incumbent = Incumbent(evaluation("knn", production), 2.0)
    contender = evaluation("ease", challenger)
    rng = np.random.default_rng(1)
    verdict = decide_promotion(contender, floor, incumbent, PLAN, rng)
    takeover = floor_takes_over(verdict, contender, floor, incumbent, PLAN, rng)
    assert (takeover.recipe.model if takeover else None) == expected
    if takeover:
        assert (takeover.verdict, takeover.interval.confidence) == ("PROMOTE", PLAN.floor_confidence)
        assert "production is worse than the best trend" in takeover.reason
        assert verdict.reason in takeover.reason


def test_the_floor_does_not_take_over_from_a_refit_that_is_better() -> None:
    """Production is worse than the floor as deployed; its refit on newer ratings is better, so the refit serves."""
    floor = evaluation("popular", 0.05 + NOISE / 4, n_listed=50)
    incumbent = Incumbent(evaluation("ease", 0.02), 2.0, "as deployed")
    for ndcg, expected in ((0.08, None), (0.045, "popular")):
        refit, rng = evaluation("ease", ndcg), np.random.default_rng(1)
        verdict = decide_promotion(refit, floor, incumbent, PLAN, rng)
        assert verdict.verdict == "REFRESH"
        takeover = floor_takes_over(verdict, refit, floor, incumbent, PLAN, rng)
        assert (takeover.recipe.model if takeover else None) == expected


def test_the_floor_does_not_take_over_from_itself() -> None:
    """A trend in production is not replaced by itself, and is refreshed however good another trend is by estimate."""
    floor = evaluation("popular", 0.05)
    incumbent = Incumbent(floor, 2.0)
    verdict = decide_promotion(floor, floor, incumbent, PLAN, np.random.default_rng(1))
    assert floor_takes_over(verdict, floor, floor, incumbent, PLAN, np.random.default_rng(1)) is None
    another = replace(evaluation("popular", 0.03), recipe=Recipe("popular", {"half_life_days": 7.0}))
    assert (
        decide_promotion(another, floor, Incumbent(another, 2.0), PLAN, np.random.default_rng(1)).verdict == "REFRESH"
    )


def test_reasons_name_trends_like_the_tables() -> None:
    """A trend has one name, in a reason as in a table."""
    trend = replace(evaluation("popular", 0.05), recipe=Recipe("popular", {"half_life_days": 7.0}))
    rng = np.random.default_rng(1)
    for incumbent in (None, Incumbent(evaluation("ease", 0.1), 2.0)):
        decision = decide_promotion(evaluation("ease", 0.1), trend, incumbent, PLAN, rng)
        assert f"against {trend.recipe.title}" in decision.reason


def test_a_challenger_below_the_floor_is_held_however_bad_production_is() -> None:
    """What is worse than a list of the last days does not replace production."""
    decision = decide(evaluation("ease", 0.03), evaluation("knn", 0.01))
    assert (decision.verdict, "ease is below popular, all time" in decision.reason) == ("HOLD", True)


def test_the_floor_is_the_best_trend_of_the_catalogue() -> None:
    """The gate's confidence allows for as many trends as the catalogue has, and the best of them is the floor."""
    assert len(FLOORS) == N_TRENDS
    trends = [replace(evaluation("popular", 0.01 * nth), recipe=recipe) for nth, recipe in enumerate(FLOORS)]
    assert best_of(trends).recipe == FLOORS[-1]
    empty = replace(trends[0], per_user={"ndcg": np.full(N_USERS, np.nan)})
    assert best_of((empty, trends[1])) is trends[1]


@pytest.mark.parametrize(
    ("shared", "words"),
    [
        ({"days": np.zeros(N_USERS, int)}, "all evaluated ratings are of one day, at least 2 needed"),
        ({"movie_ids": np.zeros(N_USERS, int)}, "all evaluated ratings are of one film, at least 2 needed"),
    ],
)
def test_one_day_or_one_film_is_no_evidence(shared: dict[str, np.ndarray], words: str) -> None:
    """Nothing tells how another day, or film, would differ: production stays, and the floor serves first."""
    rows = {"days": np.arange(N_USERS) % 9, "movie_ids": np.arange(N_USERS) % 20} | shared
    challenger, production, floor = (
        replace(evaluation(*arguments), **rows) for arguments in (("ease", 0.3), ("knn", 0.1), ("popular", 0.05))
    )
    held = decide_promotion(challenger, floor, Incumbent(production, 2.0), PLAN, np.random.default_rng(1))
    assert (held.verdict, words in held.reason) == ("HOLD", True)
    first = decide_promotion(challenger, floor, None, PLAN, np.random.default_rng(1))
    assert (first.recipe.model, words in first.reason) == ("popular", True)
    again = decide_promotion(production, floor, Incumbent(production, 2.0), PLAN, np.random.default_rng(1))
    assert again.verdict == "REFRESH"


def test_the_reason_of_a_walk_in_time_names_users_films_and_days() -> None:
    """The sentence states what the interval rests on, and which clusters made it the widest."""
    rows = {"days": np.arange(N_USERS) % 9, "movie_ids": np.arange(N_USERS) % 20}
    challenger, production = (replace(evaluation(*arguments), **rows) for arguments in (("ease", 0.3), ("knn", 0.1)))
    lucky_film = replace(challenger, per_user={"ndcg": 0.2 + 0.5 * (rows["movie_ids"] == 3)})
    reason = decide(lucky_film, production).reason
    assert "over 80 users, 20 films and 9 days" in reason
    assert "(the widest, by films)" in reason


def test_too_few_evaluated_users_hold_everything() -> None:
    """With too few evaluated users the verdict is HOLD, however large the difference."""
    decision = decide_promotion(
        evaluation("ease", np.full(49, 0.9)),
        evaluation("popular", np.full(49, 0.1)),
        Incumbent(evaluation("knn", np.full(49, 0.1)), 99.0),
        PLAN,
        np.random.default_rng(1),
    )
    assert decision.verdict == "HOLD"
    assert "not enough evidence" in decision.reason


def test_a_production_that_cannot_be_evaluated_stays() -> None:
    """A production that cannot be evaluated stays, with the reason."""
    decision = hold(evaluation("ease", 0.2), evaluation("popular", 0.1), "knn is too large", PLAN)
    assert (decision.verdict, decision.reason) == ("HOLD", "knn is too large")


scores = st.lists(st.floats(0, 1), min_size=N_USERS, max_size=N_USERS).map(np.array)


@given(scores, scores)
@example(np.full(N_USERS, 0.9), np.full(N_USERS, 0.1))
def test_swapping_the_two_models_mirrors_the_decision(ours: np.ndarray, theirs: np.ndarray) -> None:
    """No pair is promoted both ways, and the interval changes its sign."""
    forward = decide(evaluation("ease", ours), evaluation("knn", theirs))
    other = decide(evaluation("knn", theirs), evaluation("ease", ours))
    assert (forward.interval.low, forward.interval.high) == (-other.interval.high, -other.interval.low)
    if forward.verdict == "PROMOTE":
        assert other.verdict == "REJECT"


@given(scores)
def test_equal_models_are_never_promoted_over_each_other(values: np.ndarray) -> None:
    """Without a difference there is no promotion."""
    assert decide(evaluation("ease", values), evaluation("knn", values)).verdict == "HOLD"


@given(scores, scores)
def test_the_decision_is_deterministic(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal evaluations and seeds give equal decisions, including the reason."""
    first, second = (decide(evaluation("ease", ours), evaluation("knn", theirs)) for _ in range(2))
    assert (first.verdict, first.reason, first.interval) == (second.verdict, second.reason, second.interval)
