"""Recommendations for all users, a few hundred in memory at a time."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cineclub.domain.recommend.recommendations import PredictionResponse
from cineclub.domain.recommend.request import RecommendationRequest

PredictMany = Callable[[Sequence[RecommendationRequest]], AsyncIterator[PredictionResponse]]
"""Yields the responses in the order of the requests."""


async def recommend_all(
    users: AsyncIterator[list[str]],
    predict_many: PredictMany,
    wanted: RecommendationRequest,
    write: Callable[[Sequence[tuple[Any, ...]]], None],
    progress: Callable[[int], None],
) -> int:
    """Write the recommendations to every user, best first, and return the number of users.

    Args:
        users: external ids, some hundreds at a time.
        predict_many: makes the recommendations.
        wanted: the request for each user, without the id.
        write: takes rows of user, rank, movie, title, score, stars, strategy and version.
        progress: receives the number of finished users.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
        NotEnoughData: there is no model and no rating at all.
    """
    n_users = 0
    async for user_ids in users:
        requests = [replace(wanted, user_id=user_id) for user_id in user_ids]
        write([row async for response in predict_many(requests) for row in _rows(response)])
        n_users += len(user_ids)
        progress(n_users)
    return n_users


def _rows(response: PredictionResponse) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each movie of a response."""
    for recommendation in response.recommendations:
        yield (
            response.user_id,
            recommendation.rank,
            recommendation.movie.external_id,
            recommendation.movie.title,
            recommendation.score,
            recommendation.predicted_stars,
            response.strategy,
            response.model_version,
        )
