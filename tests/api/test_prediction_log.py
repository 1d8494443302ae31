"""Every answer is logged beside the requests, or counted as dropped."""

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


async def test_answers_are_logged_whole(trained_url: str, home: Path) -> None:
    """The log holds each answer with its films, scores, strategy and version, in the order of their ids."""
    async with running(trained_url, home) as service:
        answers = [await service.predict(user_id, 3) for user_id in (2, "nobody")]
    rows = logged(trained_url)
    assert [str(row["recommendation_id"]) for row in rows] == [one["recommendation_id"] for one in answers]
    assert [row["user_id"] for row in rows] == ["2", "nobody"]
    assert [row["strategy"] for row in rows] == ["model", "popular"]
    assert {(row["model_name"], row["model_version"], row["degraded"]) for row in rows} == {("ease", 1, False)}
    assert [one["movie_id"] - 1000 for one in answers[0]["recommendations"]] == rows[0]["movie_ids"]
    assert rows[0]["scores"] == pytest.approx([one["score"] for one in answers[0]["recommendations"]], rel=1e-4)
    assert 0 < rows[0]["latency_seconds"] < 5


async def test_answers_are_written_while_serving(trained_url: str, home: Path) -> None:
    """The log need not wait for the end of the service."""
    async with running(trained_url, home) as service:
        await service.predict(2)
        await eventually(lambda: asyncio.to_thread(logged, trained_url))


async def test_a_full_log_drops_and_counts(trained_url: str, home: Path) -> None:
    """What finds no room is dropped and counted, and the answers are as good as ever."""
    async with running(trained_url, home, prediction_log_size=5) as service:
        answers = await asyncio.gather(*(service.predict(number) for number in range(12)))
        text = (await service.client.get("/metrics")).text
    [line] = [one for one in text.splitlines() if one.startswith("cineclub_prediction_log_dropped_rows_total ")]
    dropped = float(line.split()[1])
    assert len(answers) == 12
    assert dropped > 0
    assert len(logged(trained_url)) == 12 - dropped


async def test_a_log_without_a_table_drops_nothing_silently(
    trained_url: str, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows that PostgreSQL refuses are counted as dropped, with the cause in the log of the process."""
    with psycopg.connect(trained_url) as connection:
        connection.execute("ALTER TABLE cineclub.predictions ADD CHECK (user_id <> '2')")
    async with running(trained_url, home) as service:
        await service.predict(2)
        metrics = service.parts.metrics
    assert b"cineclub_prediction_log_dropped_rows_total 1.0" in metrics.exposition()[0]
    assert "prediction_log_refused" in caplog.text
    assert logged(trained_url) == []


async def test_a_batch_that_was_written_already_is_not_written_twice(trained_url: str, home: Path) -> None:
    """After a connection that broke at the wrong moment the same rows come again, beside new ones."""
    async with running(trained_url, home) as service:
        await service.predict(2)
        log = service.parts.predictor._log
        [record] = log._waiting
        await eventually(lambda: asyncio.to_thread(logged, trained_url))
        log.append(record)
        await service.predict(3)
    assert [row["user_id"] for row in logged(trained_url)] == ["2", "3"]
