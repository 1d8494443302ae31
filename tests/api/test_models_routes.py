"""GET /models/… over HTTP: versions, promotions and refusals."""

from datetime import UTC, datetime

import pytest
from small_service import Service, error_of

from cineclub.adapters.postgres.versions import VersionHistory
from cineclub.domain.promotion.versions import KnownVersion, RegisteredVersion
from cineclub.domain.ratings.log import SnapshotIdentity
from cineclub.domain.recommend.recipe import Recipe

pytestmark = pytest.mark.anyio


def note(versions: VersionHistory, number: int, manifest_sha256: str) -> None:
    """Record a registered version."""
    newest = datetime(2026, 1, 1, tzinfo=UTC)
    registered = RegisteredVersion(
        version=number,
        recipe=Recipe("ease", {"l2": 200.0}),
        created_at=newest,
        manifest_sha256=manifest_sha256,
        snapshot=SnapshotIdentity(60, newest, "0" * 64),
    )
    versions.note_version(
        KnownVersion(
            registered=registered,
            training_id=None,
            role="candidate",
            verdict="PROMOTE",
            reason="it is better",
            metrics={"ndcg_at_10": 0.3},
            tags={"seed": "0"},
            code_version="0.1.0",
        )
    )


async def test_versions_history_and_refusals_are_listed(service: Service, trained_url: str) -> None:
    """Versions with verdicts, promotions and refusals are listed, paged by number."""
    serving = (await service.client.get("/models/")).json()["promotions"][0]
    book = VersionHistory(trained_url)
    note(book, 1, serving["manifest_sha256"])
    note(book, 2, "ab" * 32)
    book.refuse(2, "person", "popularity.npy was changed")
    first_page = (await service.client.get("/models/")).json()
    assert [(version["version"], version["serves"]) for version in first_page["versions"]] == [(2, False), (1, True)]
    assert first_page["refusals"][0]["reason"] == "popularity.npy was changed"
    page = (await service.client.get("/models/", params={"before": 2})).json()
    assert [version["version"] for version in page["versions"]] == [1]
    book.refuse(2, "person", "again")
    older = {"refusals_before": 2, "promotions_before": first_page["promotions"][0]["promotion_id"]}
    page = (await service.client.get("/models/", params=older)).json()
    assert [refusal["reason"] for refusal in page["refusals"]] == ["popularity.npy was changed"]
    assert page["promotions"] == []

    first, second = [(await service.client.get(f"/models/{number}")).json() for number in (1, 2)]
    assert (first["serves"], len(first["promotions"]), first["refusals"]) == (True, 1, [])
    assert (second["tags"], second["metrics"], second["promotions"]) == ({"seed": "0"}, {"ndcg_at_10": 0.3}, [])
    assert [refusal["reason"] for refusal in second["refusals"]] == ["again", "popularity.npy was changed"]


async def test_an_unknown_version_is_not_found(service: Service) -> None:
    """An unknown version is 404; the message says where versions are listed."""
    response = await service.client.get("/models/99")
    assert response.status_code == 404
    assert "GET /models/" in error_of(response)["message"]
