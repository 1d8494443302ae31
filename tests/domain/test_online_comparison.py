"""Online comparison of versions, and the error rates of probation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import comb

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cineclub.domain.promotion.online_comparison import (
    CHECK_FRACTIONS,
    FEWEST_EFFECTIVE_PEOPLE,
    PROBATION_CONFIDENCE,
    SHADOW_CONFIDENCE,
    PairOutcomes,
    PersonOutcomes,
    overlap,
    probation_of,
    rank_overlap,
    served_alone,
)
from cineclub.domain.promotion.paired_lists import by_signs, evaluate_pair
from cineclub.domain.promotion.records import Promotion
from cineclub.domain.recommend.recipe import Recipe

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
LISTS = st.lists(st.integers(1, 15), max_size=10, unique=True)
N_SIMULATED = 300


def row(promotion_id: int, version: int, verdict: str = "PROMOTE") -> Promotion:
    """Return a promotion."""
    return Promotion(version, BEGAN, verdict, "why", "gate", Recipe("ease"), "ab", promotion_id=promotion_id)


def pair_of(people: list[PersonOutcomes], purpose: str = "probation") -> PairOutcomes:
    """Return the outcomes of a pair of versions."""
    return PairOutcomes(purpose, 2, 1, 100, 0, 0.5, 0.5, 0, 0, tuple(people))


def swapped(outcomes: PersonOutcomes) -> PersonOutcomes:
    """Return the user's outcomes with the two versions swapped."""
    return PersonOutcomes(outcomes.n_other_only, outcomes.n_served_only, outcomes.n_both)


@given(LISTS, LISTS)
def test_agreement_is_symmetric_and_bounded(first: list[int], second: list[int]) -> None:
    """Both measures lie in [0, 1], are symmetric, and are 1 for equal lists."""
    for measure in (overlap, rank_overlap):
        assert 0 <= measure(first, second) <= 1
        assert measure(first, second) == measure(second, first)
        assert measure(first, first) == pytest.approx(1)
    if first or second:
        assert (overlap(first, second) > 0) == (rank_overlap(first, second) > 0) == bool(set(first) & set(second))


def test_agreement_at_the_top_weighs_more() -> None:
    """Lists that differ in the last place are more similar than lists that differ in the first."""
    assert overlap([1, 2, 3, 4], [1, 2, 3, 9]) == overlap([1, 2, 3, 4], [9, 2, 3, 4]) == 0.75
    assert rank_overlap([1, 2, 3, 4], [1, 2, 3, 9]) > rank_overlap([1, 2, 3, 4], [9, 2, 3, 4])
    assert rank_overlap([1, 2], [2, 1]) == pytest.approx(0.9 / 1.9)


def test_today_the_served_list_is_what_is_shown() -> None:
    """Each version is credited for its own list, and the other list is not shown."""
    composed = served_alone([1, 2], [2, 3])
    assert (composed.shown, composed.served_movies, composed.other_movies) == ((1, 2), (1, 2), (2, 3))


PEOPLE = st.lists(
    st.builds(PersonOutcomes, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)), min_size=0, max_size=60
)
CLEAR_LEAD = [PersonOutcomes(0, 1, 0)] * 45 + [PersonOutcomes(1, 0, 0)] * 5
CLEAR_LOSS = [PersonOutcomes(1, 0, 0)] * 45 + [PersonOutcomes(0, 1, 0)] * 5


@given(PEOPLE)
@example(CLEAR_LEAD)
@example(CLEAR_LOSS)
def test_swapping_the_versions_mirrors_the_verdict(people: list[PersonOutcomes]) -> None:
    """Swapping the versions mirrors verdict, counts and interval."""
    mirror = {"other_better": "served_better", "served_better": "other_better"}
    verdict, mirrored = evaluate_pair(pair_of(people)), evaluate_pair(pair_of([swapped(each) for each in people]))
    assert mirrored.verdict == mirror.get(verdict.verdict, verdict.verdict)
    assert (mirrored.n_for_other, mirrored.n_for_served) == (verdict.n_for_served, verdict.n_for_other)
    if verdict.low is not None:
        assert (mirrored.low, mirrored.high) == (-verdict.high, -verdict.low)


@given(PEOPLE)
@example(CLEAR_LEAD)
def test_a_person_has_one_vote(people: list[PersonOutcomes]) -> None:
    """Each user has the same weight, however many films they like."""
    often = [PersonOutcomes(person.n_served_only * 7, person.n_other_only * 7, person.n_both * 7) for person in people]
    assert evaluate_pair(pair_of(often)).verdict == evaluate_pair(pair_of(people)).verdict
    assert all(-1 <= person.difference <= 1 for person in people)


def test_verdicts_need_evidence() -> None:
    """Few users are not enough, equal lists are no difference, and a clear lead decides, for either side."""
    won, lost, shared = PersonOutcomes(0, 1, 0), PersonOutcomes(1, 0, 0), PersonOutcomes(0, 0, 1)
    assert evaluate_pair(pair_of([])).verdict == "not_enough"
    assert evaluate_pair(pair_of([won] * 9 + [lost] * 8 + [shared] * 500)).verdict == "not_enough"
    assert evaluate_pair(pair_of([shared] * 50)).verdict == "no_difference"
    assert evaluate_pair(pair_of([won] * 30 + [lost] * 28)).verdict == "no_difference"
    assert evaluate_pair(pair_of([won] * 45 + [lost] * 5)).verdict == "other_better"
    assert evaluate_pair(pair_of([lost] * 45 + [won] * 5)).verdict == "served_better"
    sentence = evaluate_pair(pair_of([won] * 45 + [lost] * 5)).in_words(2, 1)
    assert "version 1 against version 2: +0.800 of the liked films over 50 people, 99 % interval" in sentence
    few = evaluate_pair(pair_of([won, won, lost])).in_words(2, 1)
    assert "not enough evidence: 2 people liked more films of the lists of version 1, 1 of version 2" in few


@pytest.mark.parametrize(
    ("purpose", "n_for", "n_against", "verdict"),
    [
        ("probation", 7, 0, "not_enough"),
        ("probation", 8, 0, "other_better"),
        ("probation", 11, 1, "other_better"),
        ("probation", 10, 1, "not_enough"),
        ("shadow", 5, 0, "not_enough"),
        ("shadow", 6, 0, "other_better"),
    ],
)
def test_few_people_who_all_point_the_same_way_are_enough(
    purpose: str, n_for: int, n_against: int, verdict: str
) -> None:
    """Few users decide by the exact sign test, without an interval; users with equal outcomes do not count."""
    people = [PersonOutcomes(0, 3, 1)] * n_for + [PersonOutcomes(1, 0, 0)] * n_against + [PersonOutcomes(0, 0, 2)] * 9
    comparison = evaluate_pair(pair_of(people, purpose))
    assert (comparison.verdict, comparison.low, comparison.high) == (verdict, None, None)
    if verdict == "other_better":
        words = f"{n_for} people liked more films of the lists of version 1, {n_against} of version 2 (exact sign test"
        assert words in comparison.in_words(2, 1)


@given(st.integers(0, 19), st.integers(0, 19))
@example(18, 0)
def test_one_more_person_of_the_majority_never_takes_a_verdict_back(n_for: int, n_against: int) -> None:
    """The sign test has binomial probabilities, and another user of the majority keeps the verdict."""
    verdict_before = by_signs(n_for, n_against, 0.99)
    expected = n_for != n_against and binomtest(n_for, n_for + n_against).pvalue <= 0.01
    assert (verdict_before != "not_enough") == expected
    if verdict_before == "other_better":
        assert by_signs(n_for + 1, n_against, 0.99) == "other_better"


@given(PEOPLE, st.sampled_from(["probation", "shadow"]))
@example(CLEAR_LEAD, "probation")
@example(CLEAR_LOSS, "shadow")
@example(CLEAR_LEAD[:8], "probation")
def test_a_verdict_and_the_mean_beside_it_never_point_apart(people: list[PersonOutcomes], purpose: str) -> None:
    """Verdict and mean difference have the same sign, by interval and by sign test."""
    comparison = evaluate_pair(pair_of(people, purpose))
    side = {"other_better": 1, "served_better": -1}.get(comparison.verdict)
    if side:
        assert np.sign(comparison.difference) == side
        assert comparison.low is None or min(side * comparison.low, side * comparison.high) > 0


def test_many_who_differ_by_a_little_do_not_outvote_some_who_differ_altogether() -> None:
    """Users are weighted by their differences where the sign test alone would decide the other way."""
    people = [PersonOutcomes(0, 1, 9)] * 25 + [PersonOutcomes(1, 0, 0)] * 3
    assert by_signs(25, 3, 0.99) == "other_better"
    comparison = evaluate_pair(pair_of(people))
    assert (comparison.verdict, comparison.low) == ("not_enough", None)
    assert comparison.in_words(2, 1).endswith(
        "25 people liked more films of the lists of version 1, 3 of version 2; needed is a clear majority with the "
        "mean on its side, or 20 who carry most of the difference"
    )
    assert "evidence: 1 person liked more" in evaluate_pair(pair_of(people[:1])).in_words(2, 1)


@given(st.lists(st.builds(PersonOutcomes, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)), max_size=18))
@example(CLEAR_LEAD[:18])
@example(CLEAR_LOSS[:18])
def test_one_more_of_few_people_never_takes_a_verdict_back(people: list[PersonOutcomes]) -> None:
    """One more user for the better version keeps the verdict, however small the difference."""
    verdict_before = evaluate_pair(pair_of(people)).verdict
    if verdict_before in ("other_better", "served_better"):
        for n_both in (0, 7):
            one_more = PersonOutcomes(0, 1, n_both)
            one_more = one_more if verdict_before == "other_better" else swapped(one_more)
            assert evaluate_pair(pair_of([*people, one_more])).verdict == verdict_before


@pytest.mark.parametrize("confidence", [PROBATION_CONFIDENCE, SHADOW_CONFIDENCE])
def test_equals_of_few_people_differ_less_often_than_by_the_confidence(confidence: float) -> None:
    """The exact probability of a wrong verdict over both sides lies below 1 - confidence."""
    for n_people in range(FEWEST_EFFECTIVE_PEOPLE + 1):
        parted = [n for n in range(n_people + 1) if by_signs(n, n_people - n, confidence) != "not_enough"]
        assert sum(comb(n_people, n) for n in parted) / 2**n_people <= 1 - confidence


def test_a_shadow_has_the_usual_confidence_and_a_probation_that_of_one_check() -> None:
    """The five checks of a probation share an error of 5 %."""
    people = [PersonOutcomes(0, 1, 0)] * 20 + [PersonOutcomes(1, 0, 0)] * 20
    assert evaluate_pair(pair_of(people, "shadow")).confidence == 0.95
    assert evaluate_pair(pair_of(people)).confidence == pytest.approx(PROBATION_CONFIDENCE) == pytest.approx(0.99)


def test_a_probation_is_of_a_promotion_over_another_version() -> None:
    """First promotions and rollbacks have no probation; the former version is that of a rollback."""
    assert probation_of([row(1, 1)], 7) is None
    probation = probation_of([row(2, 2), row(1, 1)], 7)
    assert probation is not None
    assert (probation.promotion_id, probation.served_version, probation.former_version) == (2, 2, 1)
    assert probation_of([row(3, 1, "ROLLBACK"), row(2, 2), row(1, 1)], 7) is None
    after = probation_of([row(4, 3), row(3, 1, "ROLLBACK"), row(2, 2), row(1, 1)], 7)
    assert after is not None
    assert (after.served_version, after.former_version) == (3, 1)


def test_checks_are_due_at_fixed_times() -> None:
    """Five checks are due, each after twice the time of the previous one, the last at the end."""
    probation = probation_of([row(2, 2), row(1, 1)], 8)
    assert probation is not None
    hours = [11.9, 12.1, 24, 48, 95.9, 96, 191.9, 192, 1000]
    assert [probation.due_check(BEGAN + timedelta(hours=hour)) for hour in hours] == [0, 1, 2, 3, 3, 4, 4, 5, 5]
    assert [probation.is_over(BEGAN + timedelta(hours=hour)) for hour in (0, 191.9, 192)] == [False, False, True]


def simulated_probation(rng: np.random.Generator, n_people: int, lead: float = 0.0) -> bool:
    """Return whether a probation of users, who arrive in turn and some often, is ended at any check.

    Both versions find the films that a user likes equally well, or the former better by ``lead``. Half of
    the places of the two lists are equal, as with recipes of one catalogue.
    """
    heavy = rng.geometric(0.25, n_people)
    outcomes = [PersonOutcomes(0, 0, 0)] * n_people
    arrivals = np.sort(rng.random(heavy.sum()))
    who = rng.permutation(np.repeat(np.arange(n_people), heavy))
    at = 0
    for fraction in CHECK_FRACTIONS:
        for person in who[at : (at := int(np.searchsorted(arrivals, fraction, side="right")))].tolist():
            before = outcomes[person]
            kind = rng.random()
            outcomes[person] = (
                replace(before, n_both=before.n_both + 1)
                if kind < 0.5
                else replace(before, n_other_only=before.n_other_only + 1)
                if kind < 0.75 + lead / 2
                else replace(before, n_served_only=before.n_served_only + 1)
            )
        people = [outcome for outcome in outcomes if outcome != PersonOutcomes(0, 0, 0)]
        if evaluate_pair(pair_of(people)).verdict == "other_better":
            return True
    return False


@pytest.mark.parametrize("n_people", [10, 20, 40, 150, 300])
def test_equals_are_rolled_back_in_at_most_one_probation_of_twenty(n_people: int) -> None:
    """At most one probation of equals in twenty is ended over five checks, with few or many unequally active users."""
    rng = np.random.default_rng(n_people)
    ended = np.mean([simulated_probation(rng, n_people) for _ in range(N_SIMULATED)])
    assert ended <= 0.05


def simulated_check(rng: np.random.Generator, n_people: int, share: float = 0.5) -> str:
    """Return the verdict of one check of users with a difference, and films that both lists held.

    Each user has one or more disputed films, which the former version's list holds with the probability ``share``.
    """
    people: list[PersonOutcomes] = []
    while len(people) < n_people:
        n_disputed = int(rng.geometric(0.4))
        n_other = int(rng.binomial(n_disputed, share))
        if 2 * n_other != n_disputed:
            people.append(PersonOutcomes(n_disputed - n_other, n_other, int(rng.poisson(2))))
    return evaluate_pair(pair_of(people)).verdict


def test_few_equals_differ_at_fewer_than_one_check_of_a_hundred() -> None:
    """With 6 to 20 unequally active users, fewer than 1 % of the checks of equals decide, for either side."""
    rng = np.random.default_rng(3)
    verdicts = [simulated_check(rng, n_people) for n_people in range(6, 21) for _ in range(N_SIMULATED)]
    assert np.mean([verdict in ("other_better", "served_better") for verdict in verdicts]) < 0.01


@pytest.mark.parametrize("n_people", [8, 9, 10])
def test_lists_by_chance_are_found_at_one_check_with_eight_people(n_people: int) -> None:
    """Eight users suffice at one check if the served version has one in fifty of their disputed films."""
    rng = np.random.default_rng(n_people)
    verdicts = [simulated_check(rng, n_people, 0.98) for _ in range(N_SIMULATED)]
    assert np.mean([verdict == "other_better" for verdict in verdicts]) >= 0.8
    assert "served_better" not in verdicts


def test_a_much_worse_version_is_found() -> None:
    """With 150 users a version with three in ten of the disputed films is mostly rolled back."""
    rng = np.random.default_rng(1)
    assert np.mean([simulated_probation(rng, 150, 0.2) for _ in range(50)]) >= 0.8


def test_lists_by_chance_are_found_with_a_dozen_people() -> None:
    """Twelve users suffice if the served version has one in fifty of their disputed films."""
    rng = np.random.default_rng(2)
    assert np.mean([simulated_probation(rng, 12, 0.48) for _ in range(50)]) >= 0.8
