"""What became of recommendations: what is counted of the logged answers, and the figures made of the counts.

A rating is attributed to the last answer that showed its film to its user before the rating, if that answer is at most
the window older than the rating; the film is then taken from that answer. So a rating belongs to one answer at most, a
second answer with the same film takes it over from the first, and nothing is taken by a rating given before the answer
or at the same instant, of a film that was not shown, or from an anonymous answer. A film that is rated anew counts with
its newest rating, the only one that is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cineclub.domain.cold_start import POPULAR

POPULAR_PART = 10
"""The most popular films are one in so many of the catalogue, rounded up."""


@dataclass(frozen=True, slots=True)
class StrategyOutcomes:
    """What was counted of the answers of one model version and strategy in a period.

    Attributes:
        model_name: None for answers given before there was a model.
        model_version: None likewise.
        strategy: model or popular.
        n_answers: how many there were.
        n_anonymous: how many of them to people without an account.
        n_open: how many of the others are younger than the window, so that films of theirs may still be taken.
        n_hits: from how many at least one film was taken.
        n_taken: how many films were taken.
        taken_rating_sum: the sum of their ratings.
        n_shown: how many films the answers held together; one in three answers counts three times.
        n_popular_shown: how many of these are among the most popular films: the tenth of the catalogue, rounded up,
            with the most ratings at the time of counting, those with lower internal id first among equals.
        n_different_shown: how many different films they held.
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
        """The share, 0 to 1, of the answers to people with an account from which at least one film was taken.

        Answers whose window is open count too, so the rate of a new version still rises; None without such answers.
        """
        return _share(self.n_hits, self.n_answers - self.n_anonymous)

    @property
    def mean_taken_rating(self) -> float | None:
        """The mean rating, on the catalogue's scale, of the films that were taken; None if none was."""
        return self.taken_rating_sum / self.n_taken if self.n_taken else None

    @property
    def popularity_share(self) -> float | None:
        """The share, 0 to 1, of the shown films that are among the most popular tenth; None if none was shown."""
        return _share(self.n_popular_shown, self.n_shown)

    def coverage(self, n_movies: int) -> float | None:
        """Return the share, 0 to 1, of a catalogue of ``n_movies`` films that was shown at least once."""
        return _share(self.n_different_shown, n_movies)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the answers of a period, as known at its end.

    Attributes:
        since: the oldest answers that count.
        until: when it was counted; later answers and ratings do not count.
        window_days: how old an answer may be when a film is taken from it.
        n_movies: how many films the catalogue has.
        strategies: one for each model name, version and strategy that answered.
    """

    since: datetime
    until: datetime
    window_days: float
    n_movies: int
    strategies: tuple[StrategyOutcomes, ...]


@dataclass(frozen=True, slots=True)
class VersionOutcomes:
    """The same of one model version as a whole, with its strategies in alphabetic order."""

    model_name: str | None
    model_version: int | None
    strategies: tuple[StrategyOutcomes, ...]

    @property
    def n_answers(self) -> int:
        """How many answers the version gave."""
        return sum(one.n_answers for one in self.strategies)

    @property
    def cold_start_share(self) -> float | None:
        """The share, 0 to 1, of answers with popular films because a personal model could use none of the ratings.

        None where there was no model, or the popular list was the model: then nobody is answered otherwise.
        """
        if self.model_version is None or self.model_name == POPULAR:
            return None
        return _share(sum(one.n_answers for one in self.strategies if one.strategy == POPULAR), self.n_answers)


def by_version(strategies: Sequence[StrategyOutcomes]) -> tuple[VersionOutcomes, ...]:
    """Return outcomes by model version, the newest first, answers without a model last."""
    found: dict[tuple[int, str], list[StrategyOutcomes]] = {}
    for one in sorted(strategies, key=lambda each: each.strategy):
        found.setdefault((one.model_version or 0, one.model_name or ""), []).append(one)
    newest_first = sorted(found, reverse=True)
    return tuple(
        VersionOutcomes(found[key][0].model_name, found[key][0].model_version, tuple(found[key]))
        for key in newest_first
    )


def _share(part: int, whole: int) -> float | None:
    """Return a share; None of nothing."""
    return part / whole if whole else None
