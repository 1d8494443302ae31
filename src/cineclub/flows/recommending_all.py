"""Films for everybody at once, a few hundred users in memory at a time."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

from cineclub.domain.questions import Question
from cineclub.domain.recommendations import PredictionResponse


class Predictor(Protocol):
    """What answers many questions."""

    def predict_many(self, questions: Sequence[Question]) -> AsyncIterator[PredictionResponse]:
        """Yield the answers in the order of the questions."""
        ...


async def recommend_all(
    users: AsyncIterator[list[str]],
    predictor: Predictor,
    top_n: int,
    write: Callable[[Sequence[tuple[Any, ...]]], None],
    progress: Callable[[int], None],
) -> int:
    """Write the films of every user, best first, and return the number of users.

    Args:
        users: external ids, some hundreds at a time.
        predictor: what answers.
        top_n: how many films each.
        write: takes rows of user, rank, film, title, score, stars, strategy and version.
        progress: told how many users are done.

    Raises:
        StorageUnavailable: PostgreSQL does not answer.
        NotEnoughData: there is no model and no rating at all.
    """
    n_users = 0
    async for user_ids in users:
        questions = [Question(top_n, user_id) for user_id in user_ids]
        write([row async for one in predictor.predict_many(questions) for row in _rows(one)])
        n_users += len(user_ids)
        progress(n_users)
    return n_users


def _rows(response: PredictionResponse) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each film of an answer."""
    for one in response.recommendations:
        yield (
            response.user_id,
            one.rank,
            one.movie.external_id,
            one.movie.title,
            one.score,
            one.predicted_stars,
            response.strategy,
            response.model_version,
        )
