"""docs/metrics.md and /metrics agree after real traffic."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from small_service import Service, eventually, running

from documented_metrics import documented, exposed

pytestmark = pytest.mark.anyio


async def busy_page(service: Service, database_url: str) -> str:
    """Return /metrics after predictions, ratings, a successful training and a drift check."""
    recommendations = await service.predict(2)
    await service.predict("newcomer")
    rating = {"user_id": 2, "movie_id": recommendations["recommendations"][0]["movie_id"], "rating": 4.5}
    assert (await service.client.post("/ratings/", json=rating)).status_code < 300
    service.parts.metrics.drift_checked("OK", {"genre_mix": 0.01}, datetime.now(tz=UTC))  # type: ignore[attr-defined]
    await asyncio.to_thread(note_training, database_url)
    page = ""

    async def is_counted() -> bool:
        nonlocal page
        page = (await service.client.get("/metrics")).text
        return "cineclub_recommendation_mean_taken_rating{" in page and 'step="load_ratings"' in page

    await eventually(is_counted)
    return page


def note_training(database_url: str) -> None:
    """Record a successful training."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO cineclub.trainings (id, status, started_at, finished_at, report) VALUES (gen_random_uuid(),"
            " 'succeeded', now(), now(), '{\"step_seconds\": {\"load_ratings\": 0.5}}')"
        )


async def test_the_tables_and_the_page_name_the_same_metrics(
    trained_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exposed and documented metrics are equal: name, type, labels, meaning."""
    monkeypatch.setattr("cineclub.runtime.fresh_cache.FRESH_SECONDS", 0.0)
    async with running(trained_url, home, outcome_refresh_seconds=0.1) as service:
        page = await busy_page(service, trained_url)
    in_docs, on_page = documented(), exposed(page)
    assert set(in_docs) - set(on_page) == set()
    assert set(on_page) - set(in_docs) == set()
    assert {name: described for name, described in on_page.items() if in_docs[name] != described} == {}


def test_every_name_says_its_unit() -> None:
    """Durations are in seconds, counters end in _total, and no other metric claims to count."""
    for name, (kind, _, _) in documented().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not name.endswith(("_ms", "_milliseconds", "_minutes", "_percent", "_pct")), name
        if "duration" in name or "timestamp" in name or "age" in name.split("_"):
            assert "_seconds" in name, name
