"""Outcomes of recommendations: counts of the logged responses, and the figures computed from them.

A rating is attributed to the last response that showed its movie to its user before the rating, if that response is at
most the outcome window older than the rating; the movie counts as taken from it. So a rating belongs to one response at
most. Ratings given before the response or at the same instant, ratings of movies that were not shown, and anonymous
responses count for nothing. Of a movie rated again only the newest rating is stored, and counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.recommend.recipe import POPULAR

POPULAR_PART = 10
"""The catalogue divided by this, rounded up, is the number of most popular movies."""


@dataclass(frozen=True, slots=True)
class StrategyOutcomes:
    """The counts of the responses of one model version and strategy in a period.

    Attributes:
        model_name: None for responses made before there was a model.
        model_version: None likewise.
        strategy: model or popular.
        n_answers: the number of responses.
        n_anonymous: those to people without an account.
        n_open: those of the others that are younger than the window, so that movies may still be taken from them.
        n_hits: those from which at least one movie was taken.
        n_taken: the number of taken movies.
        taken_rating_sum: the sum of their ratings.
        n_shown: the number of shown movies; a movie in three responses counts three times.
        n_popular_shown: those among the most popular movies: the tenth of the catalogue, rounded up,
            with the most ratings at the time of counting, those with lower internal id first among equals.
        n_different_shown: the number of different shown movies.
    """

    model_name: str | None
    model_version: int | None
    strategy: str
    n_answers: int
    n_anonymous: int
    n_open: int
    n_hits: int
    n_taken: int
    taken_rating_sum: float
    n_shown: int
    n_popular_shown: int
    n_different_shown: int

    @property
    def hit_rate(self) -> float | None:
        """The share, 0 to 1, of the responses to people with an account from which at least one movie was taken.

        Responses whose window is open count too, so the rate of a new version still rises; None without responses.
        """
        return _share(self.n_hits, self.n_answers - self.n_anonymous)

    @property
    def mean_taken_rating(self) -> float | None:
        """The mean rating, on the catalogue's scale, of the taken movies; None if there are none."""
        return self.taken_rating_sum / self.n_taken if self.n_taken else None

    @property
    def popularity_share(self) -> float | None:
        """The share, 0 to 1, of the shown movies that are among the most popular tenth; None if none was shown."""
        return _share(self.n_popular_shown, self.n_shown)

    def coverage(self, n_movies: int) -> float | None:
        """Return the share, 0 to 1, of a catalogue of ``n_movies`` movies that was shown at least once."""
        return _share(self.n_different_shown, n_movies)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of the responses of a period, as known at its end.

    Attributes:
        since: the time of the oldest responses that count.
        until: the time of counting; later responses and ratings do not count.
        window_days: the age up to which a movie is taken from a response.
        n_movies: the number of movies in the catalogue.
        strategies: one item for each model name, version and strategy.
    """

    since: datetime
    until: datetime
    window_days: float
    n_movies: int
    strategies: tuple[StrategyOutcomes, ...]


@dataclass(frozen=True, slots=True)
class VersionOutcomes:
    """The outcomes of one model version, with its strategies in alphabetic order."""

    model_name: str | None
    model_version: int | None
    strategies: tuple[StrategyOutcomes, ...]

    @property
    def n_answers(self) -> int:
        """The number of responses of the version."""
        return sum(strategy.n_answers for strategy in self.strategies)

    @property
    def cold_start_share(self) -> float | None:
        """The share, 0 to 1, of responses with popular movies because a personal model could use no rating.

        None where there was no model, or Popular was the model: then all responses hold popular movies.
        """
        if self.model_version is None or self.model_name == POPULAR:
            return None
        return _share(
            sum(strategy.n_answers for strategy in self.strategies if strategy.strategy == POPULAR), self.n_answers
        )


def by_version(strategies: Sequence[StrategyOutcomes]) -> tuple[VersionOutcomes, ...]:
    """Return outcomes by model version, the newest first, responses without a model last."""
    by_key: dict[tuple[int, str], list[StrategyOutcomes]] = {}
    for outcomes in sorted(strategies, key=lambda outcomes: outcomes.strategy):
        by_key.setdefault((outcomes.model_version or 0, outcomes.model_name or ""), []).append(outcomes)
    newest_first = [by_key[key] for key in sorted(by_key, reverse=True)]
    return tuple(VersionOutcomes(group[0].model_name, group[0].model_version, tuple(group)) for group in newest_first)


def _share(part: int, whole: int) -> float | None:
    """Return a share; None of an empty whole."""
    return part / whole if whole else None
