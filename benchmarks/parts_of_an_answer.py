"""Processor time of each part of a response, in this process, without a network."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop
from fastapi import FastAPI

from cineclub.api.app import create_app
from cineclub.api.presentation import prediction_document, recommendation_documents
from cineclub.bootstrap.parts import ApiParts
from cineclub.bootstrap.serving import api_parts
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.impressions import NO_IMPRESSIONS
from cineclub.domain.recommend.recommend import best_positions, recommend_personal
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.settings import Settings

N_TIMES = 3
AT_ONCE = 16
READ_AT_ONCE, READ_BY_FASTAPI = "application/json", "application/json; charset=utf-8"  # see cineclub.api.bodies


def parts_of_an_answer(url: str, home: Path, user_ids: list[str]) -> dict[str, float]:
    """Return the microseconds of each part of a response: mean over users, minimum of a few rounds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measured(url, home, user_ids))


async def _measured(url: str, home: Path, user_ids: list[str]) -> dict[str, float]:
    """Measure within one run of the application."""
    parts = api_parts(Settings(home=home, database_url=url, history_cache=False))
    app = create_app(parts)
    async with app.router.lifespan_context(app):
        return await _figures(app, parts, user_ids)


async def _figures(app: FastAPI, parts: ApiParts, user_ids: list[str]) -> dict[str, float]:
    """Measure each part."""
    live = parts.live.current()
    if live is None:
        message = "no model serves"
        raise RuntimeError(message)
    histories = {user_id: await parts.histories.ratings_of(user_id) for user_id in user_ids}
    scores_of = {user_id: score_movies(live.fitted, history) for user_id, history in histories.items()}
    response = await parts.predictor.predict(RecommendationRequest(10, user_ids[0]))

    async def read(user_id: str) -> None:
        await parts.histories.ratings_of(user_id)

    async def read_together(user_id: str) -> None:
        await asyncio.gather(*(parts.histories.ratings_of(user_id) for _ in range(AT_ONCE)))

    async def score(user_id: str) -> None:
        score_movies(live.fitted, histories[user_id])

    async def choose(user_id: str) -> None:
        scores = scores_of[user_id]
        seen = scores.history.movie_indices
        ranking = live.vocabulary, scores.scores, seen, RecommendationRequest(), live.fitted.movie_ids, NO_IMPRESSIONS
        recommend_personal(live, scores, best_positions(*ranking))

    async def present(_: str) -> None:
        orjson.dumps(
            prediction_document(response, 1, recommendation_documents(response.recommendation_list, integers=True))
        )

    return {
        **await _whole(app, user_ids),
        "history from PostgreSQL, one read": await _microseconds(read, user_ids),
        f"history from PostgreSQL, one of {AT_ONCE} batched reads": await _microseconds(read_together, user_ids)
        / AT_ONCE,
        "scores from the history": await _microseconds(score, user_ids),
        "the best films, with stars and reasons": await _microseconds(choose, user_ids),
        "as JSON": await _microseconds(present, user_ids),
    }


async def _whole(app: FastAPI, user_ids: list[str]) -> dict[str, float]:
    """Measure whole responses, with and without cached recommendations."""
    n_movies = dict.fromkeys(user_ids, 10)

    async def anew(user_id: str) -> None:
        n_movies[user_id] += 1
        await _requested(app, user_id, n_movies[user_id])

    async def again(user_id: str) -> None:
        await _requested(app, user_id)

    async def again_by_fastapi(user_id: str) -> None:
        await _requested(app, user_id, content_type=READ_BY_FASTAPI)

    return {
        "whole, with a cached list": await _microseconds(again, user_ids),
        "the same, the body read by FastAPI alone": await _microseconds(again_by_fastapi, user_ids),
        "whole, without a cached list": await _microseconds(anew, user_ids),
    }


async def _microseconds(part: Callable[[str], Awaitable[None]], user_ids: list[str]) -> float:
    """Return the processor time of a part."""
    rounds = []
    for _ in range(N_TIMES):
        begun = time.process_time()
        for user_id in user_ids:
            await part(user_id)
        rounds.append((time.process_time() - begun) / len(user_ids))
    return min(rounds) * 1e6


async def _requested(app: FastAPI, user_id: str, top_n: int = 10, content_type: str = READ_AT_ONCE) -> None:
    """Call the application as the server does."""
    body = json.dumps({"user_id": user_id, "top_n": top_n}).encode()
    sent = {"host": "127.0.0.1", "content-type": content_type, "content-length": str(len(body))}
    headers = [(name.encode(), value.encode()) for name, value in sent.items()]
    scope = {"type": "http", "method": "POST", "path": "/predict/", "raw_path": b"/predict/", "query_string": b""}
    messages = iter([{"type": "http.request", "body": body}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        return

    more = {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "", "headers": headers}
    await app({**scope, **more, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}, receive, send)
