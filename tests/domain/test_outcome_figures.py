"""The figures made of counted answers mean what they say."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.outcomes import StrategyOutcomes, by_version

NOTHING = StrategyOutcomes("ease", 1, "model", 0, 0, 0, 0, 0, 0.0, 0, 0, 0)


@st.composite
def counted(draw: st.DrawFn) -> StrategyOutcomes:
    """Counts as PostgreSQL may find them: parts are never more than their whole."""
    n_answers, n_shown = draw(st.integers(1, 50)), draw(st.integers(0, 50))
    n_anonymous = draw(st.integers(0, n_answers))
    n_hits = draw(st.integers(0, n_answers - n_anonymous))
    n_taken = n_hits + draw(st.integers(0, 5)) if n_hits else 0
    stars = draw(st.lists(st.sampled_from([0.5, 3.0, 5.0]), min_size=n_taken, max_size=n_taken))
    name = draw(st.sampled_from(["ease", "popular", None]))
    return StrategyOutcomes(
        model_name=name,
        model_version=None if name is None else draw(st.integers(1, 3)),
        strategy=draw(st.sampled_from(["model", "popular"])),
        n_answers=n_answers,
        n_anonymous=n_anonymous,
        n_open=draw(st.integers(0, n_answers - n_anonymous)),
        n_hits=n_hits,
        n_taken=n_taken,
        taken_rating_sum=sum(stars),
        n_shown=n_shown,
        n_popular_shown=draw(st.integers(0, n_shown)),
        n_different_shown=draw(st.integers(0, n_shown)),
    )


@given(counted(), st.integers(50, 100))
def test_figures_are_shares_and_ratings_on_the_scale(one: StrategyOutcomes, n_movies: int) -> None:
    """Whatever was counted, shares lie between 0 and 1 and the mean between the lowest and the highest rating."""
    for share in (one.hit_rate, one.popularity_share, one.coverage(n_movies)):
        assert share is None or 0 <= share <= 1
    assert (one.hit_rate is None) == (one.n_answers == one.n_anonymous)
    assert one.mean_taken_rating is None or 0.5 <= one.mean_taken_rating <= 5.0
    assert (one.mean_taken_rating is None) == (one.n_taken == 0)


@given(st.lists(counted(), max_size=8, unique_by=lambda one: (one.model_name, one.model_version, one.strategy)))
def test_versions_hold_every_answer_once(strategies: list[StrategyOutcomes]) -> None:
    """Grouping by version loses nothing, and the newest version comes first."""
    versions = by_version(strategies)
    assert sum(one.n_answers for one in versions) == sum(one.n_answers for one in strategies)
    numbers = [one.model_version or 0 for one in versions]
    assert numbers == sorted(numbers, reverse=True)
    for version in versions:
        share = version.cold_start_share
        assert share is None or 0 <= share <= 1
        assert (share is None) == (version.model_name in {None, "popular"})


def test_shares_of_nothing_are_unknown() -> None:
    """Without answers, films or a catalogue there is no figure instead of a zero."""
    anonymous = replace(NOTHING, n_answers=3, n_anonymous=3)
    for one in (NOTHING, anonymous):
        assert (one.hit_rate, one.mean_taken_rating, one.popularity_share, one.coverage(0)) == (None,) * 4


def test_the_cold_start_share_is_of_all_answers_of_the_version() -> None:
    """Popular films in place of a personal model count; the popular list as a model, or without one, does not."""
    personal = [replace(NOTHING, n_answers=3), replace(NOTHING, strategy="popular", n_answers=1)]
    popular = replace(NOTHING, model_name="popular", strategy="popular", n_answers=4)
    without = replace(popular, model_name=None, model_version=None)
    assert [one.cold_start_share for one in by_version(personal)] == [0.25]
    assert [one.cold_start_share for one in by_version([popular])] == [None]
    assert [one.cold_start_share for one in by_version([without])] == [None]
