"""Where the time of one answer goes: processor time of each part, in this process, without a network."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop
from fastapi import FastAPI

from cineclub import bootstrap
from cineclub.api.app import create_app
from cineclub.api.presentation import prediction_document, recommendation_documents
from cineclub.domain.cold_start import answer
from cineclub.domain.questions import Question
from cineclub.flows.prediction import PredictionFlow
from cineclub.serving import ApiParts
from cineclub.settings import Settings

N_TIMES = 3
AT_ONCE = 16


def parts_of_an_answer(url: str, home: Path, user_ids: list[str]) -> dict[str, float]:
    """Return the microseconds of each part of an answer, the mean over users, the least of a few rounds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measured(url, home, user_ids))


async def _measured(url: str, home: Path, user_ids: list[str]) -> dict[str, float]:
    """Measure within one run of the application."""
    parts = bootstrap.api_parts(Settings(home=home, database_url=url, history_cache=False))
    app = create_app(parts)
    async with app.router.lifespan_context(app):
        return await _figures(app, parts, user_ids)


async def _figures(app: FastAPI, parts: ApiParts, user_ids: list[str]) -> dict[str, float]:
    """Measure part by part."""
    live = parts.live.current()
    if live is None:
        message = "no model serves"
        raise RuntimeError(message)
    histories = {one: await parts.histories.ratings_of(one) for one in user_ids}
    replies = {one: answer(live.fitted, history) for one, history in histories.items()}
    response = await parts.predictor.predict(Question(10, user_ids[0]))

    async def read(one: str) -> None:
        await parts.histories.ratings_of(one)

    async def read_together(one: str) -> None:
        await asyncio.gather(*(parts.histories.ratings_of(one) for _ in range(AT_ONCE)))

    async def score(one: str) -> None:
        answer(live.fitted, histories[one])

    async def choose(one: str) -> None:
        PredictionFlow.rank_movies(live, replies[one], Question())

    async def present(_: str) -> None:
        orjson.dumps(prediction_document(response, 1, recommendation_documents(response.listed, integers=True)))

    return {
        **await _whole(app, user_ids),
        "history from PostgreSQL, alone": await _microseconds(read, user_ids),
        f"history from PostgreSQL, of {AT_ONCE} at once": await _microseconds(read_together, user_ids) / AT_ONCE,
        "scores from the history": await _microseconds(score, user_ids),
        "the best films, with stars and reasons": await _microseconds(choose, user_ids),
        "as JSON": await _microseconds(present, user_ids),
    }


async def _whole(app: FastAPI, user_ids: list[str]) -> dict[str, float]:
    """Measure whole answers, of which the films are remembered or not."""
    n_films = dict.fromkeys(user_ids, 10)

    async def anew(one: str) -> None:
        n_films[one] += 1
        await _asked(app, one, n_films[one])

    async def again(one: str) -> None:
        await _asked(app, one)

    return {
        "whole, films remembered": await _microseconds(again, user_ids),
        "whole, made anew": await _microseconds(anew, user_ids),
    }


async def _microseconds(part: Callable[[str], Awaitable[None]], user_ids: list[str]) -> float:
    """Return the processor time of a part."""
    rounds = []
    for _ in range(N_TIMES):
        begun = time.process_time()
        for one in user_ids:
            await part(one)
        rounds.append((time.process_time() - begun) / len(user_ids))
    return min(rounds) * 1e6


async def _asked(app: FastAPI, user_id: str, top_n: int = 10) -> None:
    """Ask the application as the server does."""
    body = json.dumps({"user_id": user_id, "top_n": top_n}).encode()
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/predict/", "raw_path": b"/predict/", "query_string": b""}
    messages = iter([{"type": "http.request", "body": body}])

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        return

    more = {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "", "headers": headers}
    await app({**scope, **more, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}, receive, send)
