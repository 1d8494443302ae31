"""Statistics of the responses (recommendations given) of a period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ResponseStatistics:
    """Statistics of the responses of one period; None and empty where there were none.

    Attributes:
        starts_at: start of the period.
        ends_at: end, exclusive.
        n_responses: the number of logged responses.
        n_scored: the number of sampled responses that are lists of the version in production; the scores are theirs.
        effective_movies: the number of shown movies that count fully (Kish): (sum of n)^2 / sum of n^2, where a movie
            was shown n times. Lists that are the same for everybody have as many as one of them.
        head_share: the share of the baseline's head among the shown movies; a movie shown n times counts n times.
        sampled_coverage: the share of the catalogue that equally many responses of each period show; None if there are
            fewer responses.
        genre_shares: by genre; a movie counts for each of its genres in equal parts.
        cold_start_share: the share of responses that hold the popular list in place of a personal model's.
        score_shares: (n_bins,) the share of scores in equal parts of one range for all periods, the lowest first;
            scores outside of the range fall into the outer parts. Empty where another version was in production.
    """

    starts_at: datetime
    ends_at: datetime
    n_responses: int
    n_scored: int
    effective_movies: float | None
    head_share: float | None
    sampled_coverage: float | None
    genre_shares: Mapping[str, float]
    cold_start_share: float | None
    score_shares: tuple[float, ...]
