"""Pages of other sites: no image, script or link of theirs makes the service store or compute anything."""

import re
from typing import Any

import psycopg
import pytest
from small_service import Service, error_of

from cineclub.api.security_middleware import LINKED_PAGES

pytestmark = pytest.mark.anyio

CHECK = "/monitoring/drift?window=5d&until=newest"
IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
SITES = ("cross-site", "same-site")


def n_checks(database_url: str) -> int:
    """Return how many drift checks are stored."""
    with psycopg.connect(database_url) as connection:
        rows: list[Any] = connection.execute("SELECT count(*) FROM cineclub.drift_checks").fetchall()
    return int(rows[0][0])


async def get_paths(service: Service) -> list[str]:
    """Return the address of every documented GET route, and those of the pages."""
    document = (await service.client.get("/openapi.json")).json()
    routes = [path for path, operations in document["paths"].items() if "get" in operations]
    return [CHECK, "/", "/docs", "/openapi.json", *(re.sub("{[a-z_]+}", "1", path) for path in routes)]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("made_by", [IMAGE, FRAME, LINK], ids=["image", "frame", "link"])
async def test_a_foreign_page_makes_no_drift_check(
    service: Service, trained_url: str, site: str, made_by: dict[str, str]
) -> None:
    """An image, a frame and a link of another site compute and store no check; the page of the service does."""
    before = n_checks(trained_url)
    response = await service.client.get(CHECK, headers={"Sec-Fetch-Site": site, **made_by})
    assert (response.status_code, error_of(response)["code"]) == (403, "foreign_page")
    assert n_checks(trained_url) == before
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert (await service.client.get(CHECK, headers=own)).status_code == 200
    assert n_checks(trained_url) == before + 1


@pytest.mark.parametrize("site", SITES)
async def test_a_foreign_page_embeds_nothing_and_links_to_pages_alone(service: Service, site: str) -> None:
    """Every GET route refuses images; links open the pages that need no key, as a link in a chat does, and no more."""
    for path in await get_paths(service):
        image = await service.client.get(path, headers={"Sec-Fetch-Site": site, **IMAGE})
        assert image.status_code == 403, path
        link = await service.client.get(path, headers={"Sec-Fetch-Site": site, **LINK})
        assert (link.status_code != 403) == (path in LINKED_PAGES), path


async def test_a_typed_address_and_other_programs_pass(service: Service) -> None:
    """A typed address, a bookmark and a program that is no browser reach every GET route."""
    for path in await get_paths(service):
        typed = await service.client.get(path, headers={"Sec-Fetch-Site": "none", **LINK})
        assert typed.status_code != 403, path
