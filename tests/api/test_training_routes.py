"""/training/ over the real application and the real queue."""

import asyncio
import uuid
from typing import Any

import pytest
from small_service import Service, error_of

pytestmark = pytest.mark.anyio


async def test_a_training_is_queued_followed_and_cancelled(untrained: Service) -> None:
    """A queued training is 202 with its address; it can be read, listed and cancelled."""
    started = await untrained.client.post("/training/", json={"models": ["popular", "ease"], "reason": "new films"})
    assert started.status_code == 202
    training = started.json()
    assert training["status"] == "queued"
    assert training["options"] == {"models": ["popular", "ease"]}
    assert training["reason"] == "new films"
    followed = await untrained.client.get(started.headers["Location"])
    assert followed.json() == training
    trainings = (await untrained.client.get("/training/", params={"limit": 1})).json()["trainings"]
    assert [row["training_id"] for row in trainings] == [training["training_id"]]
    cancelled = await untrained.client.delete(started.headers["Location"])
    assert cancelled.json()["status"] == "cancelled"


async def test_a_second_training_is_409_with_the_id_of_the_first(untrained: Service) -> None:
    """Of ten simultaneous requests one starts a training and nine get its id."""
    responses = await asyncio.gather(*(untrained.client.post("/training/", json={}) for _ in range(10)))
    assert sorted(response.status_code for response in responses) == [202] + [409] * 9
    [started] = [response.json()["training_id"] for response in responses if response.status_code == 202]
    refused = [error_of(response) for response in responses if response.status_code == 409]
    assert {error["code"] for error in refused} == {"training_under_way"}
    assert {error["training_id"] for error in refused} == {started}


@pytest.mark.parametrize("training_id", [str(uuid.UUID(int=1)), "not-a-uuid"])
async def test_unknown_trainings_are_404(untrained: Service, training_id: str) -> None:
    """Reading and cancelling what does not exist is 404."""
    for method in ("GET", "DELETE"):
        response = await untrained.client.request(method, f"/training/{training_id}")
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"models": ["astrology"]}, "there is no model 'astrology'"),
        ({"models": []}, "at least one"),
        ({"models": "svd"}, "models must be a valid list"),
        ({"reason": ""}, "reason"),
        ({"model": ["svd"]}, "model is not a field of this request"),
    ],
)
async def test_malformed_trainings_are_refused(refusing: Service, body: dict[str, Any], part: str) -> None:
    """Unknown models and fields are 422, never ignored."""
    response = await refusing.client.post("/training/", json=body)
    assert response.status_code == 422
    assert part in error_of(response)["message"]


@pytest.mark.parametrize("limit", ["0", "101", "many"])
async def test_limits_of_the_list_are_checked(refusing: Service, limit: str) -> None:
    """The limit of the list lies between 1 and 100."""
    response = await refusing.client.get("/training/", params={"limit": limit})
    assert response.status_code == 422
    assert error_of(response)["message"].startswith("limit must be")
