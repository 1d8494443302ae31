"""Lists are compared fairly, and a probation of equals is seldom ended."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cineclub.domain.list_contest import by_signs, judge_pair
from cineclub.domain.live_comparison import (
    FEWEST_EFFECTIVE_PEOPLE,
    LOOK_FRACTIONS,
    PROBATION_CONFIDENCE,
    SHADOW_CONFIDENCE,
    PairOutcomes,
    PersonOutcomes,
    overlap,
    probation_of,
    rank_overlap,
    served_alone,
)

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
LISTS = st.lists(st.integers(1, 15), max_size=10, unique=True)
N_SIMULATED = 300


@dataclass(frozen=True)
class Row:
    """One row of the history of what served."""

    promotion_id: int
    version: int
    verdict: str = "PROMOTE"
    manifest_sha256: str = "ab"
    promoted_at: datetime = BEGAN


def pair_of(people: list[PersonOutcomes], purpose: str = "probation") -> PairOutcomes:
    """Return what became of a pair of versions."""
    return PairOutcomes(purpose, 2, 1, 100, 0, 0.5, 0.5, 0, 0, tuple(people))


def swapped(one: PersonOutcomes) -> PersonOutcomes:
    """Return what the person's outcomes were had the other version served."""
    return PersonOutcomes(one.n_other_only, one.n_served_only, one.n_both)


@given(LISTS, LISTS)
def test_agreement_is_symmetric_and_bounded(one: list[int], other: list[int]) -> None:
    """Both measures lie between 0 and 1, do not care which list is whose, and are 1 for equal lists."""
    for measure in (overlap, rank_overlap):
        assert 0 <= measure(one, other) <= 1
        assert measure(one, other) == measure(other, one)
        assert measure(one, one) == pytest.approx(1)
    if one or other:
        assert (overlap(one, other) > 0) == (rank_overlap(one, other) > 0) == bool(set(one) & set(other))


def test_agreement_at_the_top_weighs_more() -> None:
    """Two lists that differ in the last place are more alike than two that differ in the first."""
    assert overlap([1, 2, 3, 4], [1, 2, 3, 9]) == overlap([1, 2, 3, 4], [9, 2, 3, 4]) == 0.75
    assert rank_overlap([1, 2, 3, 4], [1, 2, 3, 9]) > rank_overlap([1, 2, 3, 4], [9, 2, 3, 4])
    assert rank_overlap([1, 2], [2, 1]) == pytest.approx(0.9 / 1.9)


def test_today_the_served_list_is_what_is_shown() -> None:
    """Each side is credited for its own list, and nothing of the other is shown."""
    composed = served_alone([1, 2], [2, 3])
    assert (composed.shown, composed.served_films, composed.other_films) == ((1, 2), (1, 2), (2, 3))


PEOPLE = st.lists(
    st.builds(PersonOutcomes, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)), min_size=0, max_size=60
)


@given(PEOPLE)
def test_swapping_the_versions_mirrors_the_verdict(people: list[PersonOutcomes]) -> None:
    """Nothing in the arithmetic favours a side."""
    mirror = {"other_better": "served_better", "served_better": "other_better"}
    one, other = judge_pair(pair_of(people)), judge_pair(pair_of([swapped(each) for each in people]))
    assert other.verdict == mirror.get(one.verdict, one.verdict)
    assert (other.n_for_other, other.n_for_served) == (one.n_for_served, one.n_for_other)
    if one.low is not None:
        assert (other.low, other.high) == (-one.high, -one.low)


@given(PEOPLE)
def test_a_person_has_one_vote(people: list[PersonOutcomes]) -> None:
    """However many films somebody likes, they move the mean by no more than anybody else."""
    often = [PersonOutcomes(one.n_served_only * 7, one.n_other_only * 7, one.n_both * 7) for one in people]
    assert judge_pair(pair_of(often)).verdict == judge_pair(pair_of(people)).verdict
    assert all(-1 <= one.difference <= 1 for one in people)


def test_verdicts_need_evidence() -> None:
    """Few people are not enough, equal lists are no difference, and a clear lead is one, for either side."""
    won, lost, shared = PersonOutcomes(0, 1, 0), PersonOutcomes(1, 0, 0), PersonOutcomes(0, 0, 1)
    assert judge_pair(pair_of([])).verdict == "not_enough"
    assert judge_pair(pair_of([won] * 9 + [lost] * 8 + [shared] * 500)).verdict == "not_enough"
    assert judge_pair(pair_of([shared] * 50)).verdict == "no_difference"
    assert judge_pair(pair_of([won] * 30 + [lost] * 28)).verdict == "no_difference"
    assert judge_pair(pair_of([won] * 45 + [lost] * 5)).verdict == "other_better"
    assert judge_pair(pair_of([lost] * 45 + [won] * 5)).verdict == "served_better"
    told = judge_pair(pair_of([won] * 45 + [lost] * 5)).in_words(2, 1)
    assert "version 1 against version 2: +0.800 of the liked films over 50 people, 99 % interval" in told
    few = judge_pair(pair_of([won, won, lost])).in_words(2, 1)
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
    """By the exact sign test, whatever the people say whose films both lists held; without an interval."""
    people = [PersonOutcomes(0, 3, 1)] * n_for + [PersonOutcomes(1, 0, 0)] * n_against + [PersonOutcomes(0, 0, 2)] * 9
    found = judge_pair(pair_of(people, purpose))
    assert (found.verdict, found.low, found.high) == (verdict, None, None)
    if verdict == "other_better":
        words = f"{n_for} people liked more films of the lists of version 1, {n_against} of version 2 (exact sign test"
        assert words in found.in_words(2, 1)


@given(st.integers(0, 19), st.integers(0, 19))
def test_one_more_person_of_the_majority_never_takes_a_verdict_back(n_for: int, n_against: int) -> None:
    """Signs are as rare as a fair coin has them, and more of them say no less."""
    found = by_signs(n_for, n_against, 0.99)
    expected = n_for != n_against and binomtest(n_for, n_for + n_against).pvalue <= 0.01
    assert (found != "not_enough") == expected
    if found == "other_better":
        assert by_signs(n_for + 1, n_against, 0.99) == "other_better"


@given(PEOPLE, st.sampled_from(["probation", "shadow"]))
def test_a_verdict_and_the_mean_beside_it_never_point_apart(people: list[PersonOutcomes], purpose: str) -> None:
    """By an interval or by signs: whoever reads both reads one thing."""
    found = judge_pair(pair_of(people, purpose))
    side = {"other_better": 1, "served_better": -1}.get(found.verdict)
    if side:
        assert np.sign(found.difference) == side
        assert found.low is None or min(side * found.low, side * found.high) > 0


def test_many_who_differ_by_a_little_do_not_outvote_some_who_differ_altogether() -> None:
    """Signs alone would say that the former version is better, of which people on the whole liked less."""
    people = [PersonOutcomes(0, 1, 9)] * 25 + [PersonOutcomes(1, 0, 0)] * 3
    assert by_signs(25, 3, 0.99) == "other_better"
    found = judge_pair(pair_of(people))
    assert (found.verdict, found.low) == ("not_enough", None)
    assert found.in_words(2, 1).endswith(
        "25 people liked more films of the lists of version 1, 3 of version 2; needed is a clear majority with the "
        "mean on its side, or 20 who carry most of the difference"
    )
    assert "evidence: 1 person liked more" in judge_pair(pair_of(people[:1])).in_words(2, 1)


@given(st.lists(st.builds(PersonOutcomes, st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)), max_size=18))
def test_one_more_of_few_people_never_takes_a_verdict_back(people: list[PersonOutcomes]) -> None:
    """Whoever else speaks for the version that was found better leaves it at that, however little they differ."""
    found = judge_pair(pair_of(people)).verdict
    if found in ("other_better", "served_better"):
        for n_both in (0, 7):
            one_more = PersonOutcomes(0, 1, n_both)
            one_more = one_more if found == "other_better" else swapped(one_more)
            assert judge_pair(pair_of([*people, one_more])).verdict == found


@pytest.mark.parametrize("confidence", [PROBATION_CONFIDENCE, SHADOW_CONFIDENCE])
def test_equals_of_few_people_are_parted_less_often_than_the_confidence_says(confidence: float) -> None:
    """Exactly, over all that fair coins can show, for both sides together."""
    for n_people in range(FEWEST_EFFECTIVE_PEOPLE + 1):
        parted = [n for n in range(n_people + 1) if by_signs(n, n_people - n, confidence) != "not_enough"]
        assert sum(comb(n_people, n) for n in parted) / 2**n_people <= 1 - confidence


def test_a_shadow_has_the_usual_confidence_and_a_probation_that_of_one_look() -> None:
    """The five looks of a probation share the five in a hundred."""
    people = [PersonOutcomes(0, 1, 0)] * 20 + [PersonOutcomes(1, 0, 0)] * 20
    assert judge_pair(pair_of(people, "shadow")).confidence == 0.95
    assert judge_pair(pair_of(people)).confidence == pytest.approx(PROBATION_CONFIDENCE) == pytest.approx(0.99)


def test_a_probation_is_of_a_promotion_over_another_version() -> None:
    """Not of the first one, nor of a rollback; the former version is the one that a rollback would go to."""
    assert probation_of([Row(1, 1)], 7) is None
    found = probation_of([Row(2, 2), Row(1, 1)], 7)
    assert found is not None
    assert (found.promotion_id, found.served_version, found.former_version) == (2, 2, 1)
    assert probation_of([Row(3, 1, "ROLLBACK"), Row(2, 2), Row(1, 1)], 7) is None
    after = probation_of([Row(4, 3), Row(3, 1, "ROLLBACK"), Row(2, 2), Row(1, 1)], 7)
    assert after is not None
    assert (after.served_version, after.former_version) == (3, 1)


def test_looks_are_due_at_fixed_times() -> None:
    """Five of them, each after double the time of the one before, the last at the end."""
    found = probation_of([Row(2, 2), Row(1, 1)], 8)
    assert found is not None
    hours = [11.9, 12.1, 24, 48, 95.9, 96, 191.9, 192, 1000]
    assert [found.due_look(BEGAN + timedelta(hours=one)) for one in hours] == [0, 1, 2, 3, 3, 4, 4, 5, 5]
    assert [found.is_over(BEGAN + timedelta(hours=one)) for one in (0, 191.9, 192)] == [False, False, True]


def simulated_probation(rng: np.random.Generator, n_people: int, lead: float = 0.0) -> bool:
    """Say whether a probation of people who come one after the other, some of them often, is ended at any look.

    Each has films they like; the lists of both versions find them equally well, or the former's better by ``lead``.
    Half of the places of the two lists are the same, as with recipes of one catalogue.
    """
    heavy = rng.geometric(0.25, n_people)
    outcomes = [PersonOutcomes(0, 0, 0)] * n_people
    arrivals = np.sort(rng.random(heavy.sum()))
    who = rng.permutation(np.repeat(np.arange(n_people), heavy))
    at = 0
    for fraction in LOOK_FRACTIONS:
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
        people = [one for one in outcomes if one != PersonOutcomes(0, 0, 0)]
        if judge_pair(pair_of(people)).verdict == "other_better":
            return True
    return False


@pytest.mark.parametrize("n_people", [10, 20, 40, 150, 300])
def test_equals_are_rolled_back_in_at_most_one_probation_of_twenty(n_people: int) -> None:
    """Over all five looks together, with few people and many, some of whom rate far more than others."""
    rng = np.random.default_rng(n_people)
    ended = np.mean([simulated_probation(rng, n_people) for _ in range(N_SIMULATED)])
    assert ended <= 0.05


def simulated_look(rng: np.random.Generator, n_people: int, share: float = 0.5) -> str:
    """Return the verdict of one look at people who each carry a difference, with films both lists held beside.

    Each has one to some disputed films, each of which the former version's list held with the chance ``share``.
    """
    people: list[PersonOutcomes] = []
    while len(people) < n_people:
        n_disputed = int(rng.geometric(0.4))
        n_other = int(rng.binomial(n_disputed, share))
        if 2 * n_other != n_disputed:
            people.append(PersonOutcomes(n_disputed - n_other, n_other, int(rng.poisson(2))))
    return judge_pair(pair_of(people)).verdict


def test_few_equals_are_parted_at_fewer_than_one_look_of_a_hundred() -> None:
    """For either side, with 6 to 20 people who carry a difference, some of whom rate far more than others."""
    rng = np.random.default_rng(3)
    found = [simulated_look(rng, n_people) for n_people in range(6, 21) for _ in range(N_SIMULATED)]
    assert np.mean([one in ("other_better", "served_better") for one in found]) < 0.01


@pytest.mark.parametrize("n_people", [8, 9, 10])
def test_lists_by_chance_are_found_at_one_look_with_eight_people(n_people: int) -> None:
    """Of whose disputed films the served version finds one in fifty."""
    rng = np.random.default_rng(n_people)
    found = [simulated_look(rng, n_people, 0.98) for _ in range(N_SIMULATED)]
    assert np.mean([one == "other_better" for one in found]) >= 0.8
    assert "served_better" not in found


def test_a_much_worse_version_is_found() -> None:
    """With 150 people, of whose disputed films the former version finds seven in ten, it is mostly rolled back."""
    rng = np.random.default_rng(1)
    assert np.mean([simulated_probation(rng, 150, 0.2) for _ in range(50)]) >= 0.8


def test_lists_by_chance_are_found_with_a_dozen_people() -> None:
    """Of twelve people of whose films the served version finds one in fifty, probation needs no more."""
    rng = np.random.default_rng(2)
    assert np.mean([simulated_probation(rng, 12, 0.48) for _ in range(50)]) >= 0.8
