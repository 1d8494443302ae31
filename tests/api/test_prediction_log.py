"""Every response is logged off the request path, or counted as dropped."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from small_service import eventually, running

pytestmark = pytest.mark.anyio


def logged(database_url: str) -> list[dict[str, Any]]:
    """Return the log, oldest first."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM cineclub.predictions ORDER BY recommendation_id").fetchall()


async def test_responses_are_logged_whole(trained_url: str, home: Path) -> None:
    """The log holds each response with films, scores, strategy and version, in the order of their ids."""
    async with running(trained_url, home) as service:
        responses = [await service.predict(user_id, 3) for user_id in (2, "nobody")]
    rows = logged(trained_url)
    assert [str(row["recommendation_id"]) for row in rows] == [response["recommendation_id"] for response in responses]
    assert [row["user_id"] for row in rows] == ["2", "nobody"]
    assert [row["strategy"] for row in rows] == ["model", "popular"]
    assert {(row["model_name"], row["model_version"], row["degraded"]) for row in rows} == {("ease", 1, False)}
    assert [recommendation["movie_id"] - 1000 for recommendation in responses[0]["recommendations"]] == rows[0][
        "movie_ids"
    ]
    assert rows[0]["scores"] == pytest.approx(
        [recommendation["score"] for recommendation in responses[0]["recommendations"]], rel=1e-4
    )
    assert 0 < rows[0]["latency_seconds"] < 5


async def test_responses_are_written_while_serving(trained_url: str, home: Path) -> None:
    """Responses are written while the service runs."""
    async with running(trained_url, home) as service:
        await service.predict(2)
        await eventually(lambda: asyncio.to_thread(logged, trained_url))


async def test_a_full_log_drops_and_counts(trained_url: str, home: Path) -> None:
    """Responses beyond the size of the queue are dropped and counted; the clients get complete responses."""
    async with running(trained_url, home, prediction_log_size=5) as service:
        responses = await asyncio.gather(*(service.predict(number) for number in range(12)))
        text = (await service.client.get("/metrics")).text
    [line] = [
        splitline
        for splitline in text.splitlines()
        if splitline.startswith("cineclub_prediction_log_dropped_rows_total ")
    ]
    dropped = float(line.split()[1])
    assert len(responses) == 12
    assert dropped > 0
    assert len(logged(trained_url)) == 12 - dropped


async def test_a_log_without_a_table_drops_nothing_silently(
    trained_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows that PostgreSQL refuses are counted as dropped, with the cause in the process's log."""
    with psycopg.connect(trained_url) as connection:
        connection.execute("ALTER TABLE cineclub.predictions ADD CHECK (user_id <> '2')")
    async with running(trained_url, home) as service:
        await service.predict(2)
        metrics = service.parts.metrics
    assert b"cineclub_prediction_log_dropped_rows_total 1.0" in metrics.exposition()[0]
    assert "prediction_log_refused" in caplog.text
    assert logged(trained_url) == []


async def test_a_batch_that_was_written_already_is_not_written_twice(trained_url: str, home: Path) -> None:
    """A batch that is sent again after a broken connection is not written twice, and new rows are added."""
    async with running(trained_url, home) as service:
        await service.predict(2)
        [log] = service.parts.predictor._observers
        [row] = log._waiting
        await eventually(lambda: asyncio.to_thread(logged, trained_url))
        log._waiting.append(row)
        await service.predict(3)
    assert [row["user_id"] for row in logged(trained_url)] == ["2", "3"]
