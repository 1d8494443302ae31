"""Promotions over HTTP at the same time: each response has the promotion that its request made, or is 409."""

import asyncio
import re
import uuid
from pathlib import Path

import numpy as np
import pytest
from small_service import error_of, fill, running, small_log, small_movies

from cineclub.adapters.postgres.promotions import PostgresPromotions
from cineclub.bootstrap import storage
from cineclub.domain.promotion.versions import VersionRecord
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.models import catalogue
from cineclub.settings import Settings
from registry_fixtures import bench_database, mlflow_template

__all__ = ["bench_database", "mlflow_template"]
pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(bench_database: str, home: Path) -> Settings:
    """Settings of a home with two versions, the first in production."""
    fill(bench_database)
    settings = Settings.apart(home=home, database_url=bench_database)
    promotion = storage.promotion_flow(settings)
    promotion.versions.open()
    for name in ("popular", "bias"):
        matrix = RatingMatrix.from_log(small_log())
        fitted = catalogue.fit(catalogue.default_recipe(name), matrix, np.random.default_rng(0), lambda _: None)
        record = VersionRecord(tags={"verdict": "PROMOTE", "snapshot_sha256": "ab" * 32})
        promotion.versions.register(str(uuid.uuid4()), fitted, small_movies(), record)
    promotion.promote(1, "the first")
    return settings


async def test_each_response_has_the_promotion_of_its_own_request(settings: Settings) -> None:
    """Of three promotions of one version one is made, and two are 409 with its id."""
    async with running(storage.database_url(settings), settings.home) as service:

        async def promote(reason: str) -> tuple[str, int, str]:
            response = await service.client.post("/models/2/promote", json={"reason": reason}, timeout=150)
            if response.status_code == 200:
                return reason, 200, response.json()["reason"]
            return reason, response.status_code, error_of(response)["message"]

        responses = await asyncio.gather(*(promote(f"wish {nth}") for nth in range(3)))
    history = PostgresPromotions(storage.database_url(settings)).recent(10)
    assert [row.version for row in history] == [2, 1]
    assert sorted(status for _, status, _ in responses) == [200, 409, 409]
    for reason, status, text in responses:
        if status == 200:
            assert text == reason == history[0].reason
        else:
            assert re.search(rf"that decision stands: promotion {history[0].promotion_id} of version 2", text)
