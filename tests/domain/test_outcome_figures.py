"""Figures of outcomes computed from counts."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.recommend.outcomes import StrategyOutcomes, by_version

NOTHING = StrategyOutcomes("ease", 1, "model", 0, 0, 0, 0, 0, 0.0, 0, 0, 0)


@st.composite
def counted(draw: st.DrawFn) -> StrategyOutcomes:
    """Draw counts as PostgreSQL may return them: parts never exceed their whole."""
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
def test_figures_are_shares_and_ratings_on_the_scale(counts: StrategyOutcomes, n_movies: int) -> None:
    """Shares lie in [0, 1], and the mean between the lowest and the highest rating."""
    for share in (counts.hit_rate, counts.popularity_share, counts.coverage(n_movies)):
        assert share is None or 0 <= share <= 1
    assert (counts.hit_rate is None) == (counts.n_answers == counts.n_anonymous)
    assert counts.mean_taken_rating is None or 0.5 <= counts.mean_taken_rating <= 5.0
    assert (counts.mean_taken_rating is None) == (counts.n_taken == 0)


@given(
    st.lists(
        counted(),
        max_size=8,
        unique_by=lambda counts: (counts.model_name, counts.model_version, counts.strategy),
    )
)
def test_versions_hold_every_response_once(strategies: list[StrategyOutcomes]) -> None:
    """Grouping by version loses nothing, and the newest version comes first."""
    versions = by_version(strategies)
    assert sum(version.n_answers for version in versions) == sum(strategy.n_answers for strategy in strategies)
    numbers = [version.model_version or 0 for version in versions]
    assert numbers == sorted(numbers, reverse=True)
    for version in versions:
        share = version.cold_start_share
        assert share is None or 0 <= share <= 1
        assert (share is None) == (version.model_name in {None, "popular"})


def test_shares_of_nothing_are_unknown() -> None:
    """Without answers, films or a catalogue there is no figure instead of a zero."""
    anonymous = replace(NOTHING, n_answers=3, n_anonymous=3)
    for counts in (NOTHING, anonymous):
        assert (counts.hit_rate, counts.mean_taken_rating, counts.popularity_share, counts.coverage(0)) == (None,) * 4


def test_the_cold_start_share_is_of_all_responses_of_the_version() -> None:
    """Popular films in place of a personal model count; those of the popular model, or without a model, do not."""
    personal = [replace(NOTHING, n_answers=3), replace(NOTHING, strategy="popular", n_answers=1)]
    popular = replace(NOTHING, model_name="popular", strategy="popular", n_answers=4)
    without = replace(popular, model_name=None, model_version=None)
    assert [version.cold_start_share for version in by_version(personal)] == [0.25]
    assert [version.cold_start_share for version in by_version([popular])] == [None]
    assert [version.cold_start_share for version in by_version([without])] == [None]
