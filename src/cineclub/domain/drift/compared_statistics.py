"""The statistics that drift checks compare: a new one is a row here, with its number in ``PeriodStatistics``."""

from collections.abc import Mapping, Sequence

from cineclub.domain.drift.responses import ResponseStatistics
from cineclub.domain.drift.statistic_kinds import (
    DistributionStatistic,
    FigureStatistic,
    Sizes,
    TasteStatistic,
    VolumeStatistic,
)
from cineclub.domain.drift.statistics import PeriodStatistics
from cineclub.domain.ratings.segments import ACTIVITY, DECADE, GENRE

MIN_RESPONSES = 100
"""Fewer responses, or fewer scored ones, are not compared."""


def _shares(period: PeriodStatistics, dimension: str) -> dict[str, float]:
    """Return the share of each segment of a dimension."""
    return {name: part.share for name, part in period.segments[dimension].items()}


def _by_position(shares: Sequence[float]) -> Mapping[str, float]:
    """Return shares by their position; empty where all are 0."""
    return {f"{nth:02}": share for nth, share in enumerate(shares)} if sum(shares) else {}


def _score_shares(responses: ResponseStatistics) -> Mapping[str, float]:
    """Return the shares of scores; empty where the version gave too few responses."""
    return _by_position(responses.score_shares) if responses.n_scored >= MIN_RESPONSES else {}


def _n_ratings(period: PeriodStatistics) -> float:
    """Return the number of ratings."""
    return float(period.n_ratings)


def _n_responses(responses: ResponseStatistics) -> float:
    """Return the number of responses."""
    return float(responses.n_responses)


BY_PEOPLE: Sizes[PeriodStatistics] = (_n_ratings, lambda period: period.effective_users)
"""Ratings of one person resemble each other, so that a window is as certain as its people allow."""

BY_FILMS: Sizes[PeriodStatistics] = (*BY_PEOPLE, lambda period: period.effective_movies)
"""A film that a third of the ratings are for moves its genre, its decade, the marks and their mean alone."""

BY_SHOWN: Sizes[ResponseStatistics] = (lambda responses: responses.effective_movies,)
"""Lists that follow the crowd are nearly the same for everybody, so that each of a few films has a large share."""

OF_RATINGS: tuple[
    FigureStatistic[PeriodStatistics] | VolumeStatistic | DistributionStatistic[PeriodStatistics] | TasteStatistic, ...
] = (
    FigureStatistic("mean_rating", "ratings", lambda period: period.mean_rating, BY_FILMS),
    DistributionStatistic(
        "rating_distribution", "ratings", lambda period: _by_position(period.rating_shares), _n_ratings, BY_FILMS
    ),
    VolumeStatistic("ratings_a_day", "ratings", lambda period: period.n_ratings / period.days),
    VolumeStatistic("active_users", "ratings", lambda period: float(period.n_active_users)),
    FigureStatistic(
        "new_user_share",
        "ratings",
        lambda period: period.new_user_share,
        (lambda period: float(period.n_active_users),),
        scale="arrivals",
    ),
    FigureStatistic(
        "new_movie_share",
        "ratings",
        lambda period: period.new_movie_share,
        (lambda period: float(period.n_rated_movies),),
        scale="arrivals",
    ),
    FigureStatistic(
        "popularity_gini", "ratings", lambda period: period.sampled_popularity_gini, (_n_ratings,), scale="share"
    ),
    DistributionStatistic(
        "genre_mix", "ratings", lambda period: period.damped_mixes.get(GENRE, {}), _n_ratings, BY_FILMS
    ),
    DistributionStatistic(
        "decade_mix", "ratings", lambda period: period.damped_mixes.get(DECADE, {}), _n_ratings, BY_FILMS
    ),
    DistributionStatistic(
        "ratings_per_user",
        "ratings",
        lambda period: _shares(period, ACTIVITY),
        _n_ratings,
        (lambda period: float(period.n_active_users),),
    ),
    TasteStatistic("taste_by_genre", "ratings", BY_PEOPLE),
    FigureStatistic(
        "mean_of_users",
        "ratings",
        lambda period: period.mean_of_users,
        (lambda period: float(period.n_active_users), lambda period: period.effective_movies),
    ),
)
"""The statistics of ratings; a new one needs a row here and its number in ``PeriodStatistics``."""

OF_NEWEST: tuple[FigureStatistic[PeriodStatistics] | DistributionStatistic[PeriodStatistics] | TasteStatistic, ...] = (
    FigureStatistic("newest_mean_rating", "ratings", lambda period: period.mean_rating, BY_FILMS),
    DistributionStatistic(
        "newest_rating_distribution", "ratings", lambda period: _by_position(period.rating_shares), _n_ratings, BY_FILMS
    ),
    TasteStatistic("newest_taste_by_genre", "ratings", BY_FILMS),
    FigureStatistic(
        "newest_mean_of_users",
        "ratings",
        lambda period: period.mean_of_users,
        (lambda period: float(period.n_active_users), lambda period: period.effective_movies),
    ),
)
"""The statistics of the ratings in the newest part of a window: the level of ratings, not volumes, newcomers and mixes.

One film that opens can have half of a genre's ratings of a part, so that tastes are as certain as the films allow.
"""

OF_RESPONSES: tuple[FigureStatistic[ResponseStatistics] | DistributionStatistic[ResponseStatistics], ...] = (
    FigureStatistic(
        "answers_head_share",
        "answers",
        lambda responses: responses.head_share,
        (_n_responses,),
        scale="share",
        movies=BY_SHOWN,
    ),
    FigureStatistic(
        "answers_coverage", "answers", lambda responses: responses.sampled_coverage, (_n_responses,), scale="share"
    ),
    DistributionStatistic(
        "answers_genre_mix", "answers", lambda responses: responses.genre_shares, _n_responses, movies=BY_SHOWN
    ),
    FigureStatistic(
        "answers_cold_start_share",
        "answers",
        lambda responses: responses.cold_start_share,
        (_n_responses,),
        scale="share",
    ),
    DistributionStatistic(
        "answers_score_distribution", "answers", _score_shares, lambda responses: float(responses.n_scored)
    ),
)
"""The statistics of responses."""

N_PARTS = sum(statistic.part for statistic in (*OF_RATINGS, *OF_NEWEST, *OF_RESPONSES))
"""The statistics that share the chance of a check; some need a part of a share."""

RATING_STATISTICS = tuple(statistic.name for statistic in OF_RATINGS)
NEWEST_STATISTICS = tuple(statistic.name for statistic in OF_NEWEST)
RESPONSE_STATISTICS = tuple(statistic.name for statistic in OF_RESPONSES)
VOLUMES = tuple(statistic.name for statistic in OF_RATINGS if isinstance(statistic, VolumeStatistic))
