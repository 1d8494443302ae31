"""Drift over HTTP, on ratings of half a year with a baseline and a normal or a changed last week."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from drifting_ratings import A_WEEK, fill_weeks, promote_with_baseline
from httpx import Response
from small_service import Service, error_of, running

from cineclub.domain.drift.compared_statistics import NEWEST_STATISTICS, RATING_STATISTICS, RESPONSE_STATISTICS
from cineclub.domain.drift.periods import NEWEST_PART

pytestmark = pytest.mark.anyio
QUIET: dict[str, Any] = {"drift_check_hours": 1000.0, "drift_action": "off"}


async def drift_of(service: Service, **params: Any) -> dict[str, Any]:
    """Return the response of the route."""
    response = await service.client.get("/monitoring/drift", params=params)
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


def named(check: dict[str, Any], nth: int = 0) -> dict[str, dict[str, Any]]:
    """Return the statistics of a comparison by their names."""
    return {statistic["name"]: statistic for statistic in check["comparisons"][nth]["statistics"]}


async def test_a_usual_week_is_ok(database_url: str, home: Path) -> None:
    """Every statistic has its verdict, and the check is recorded."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC)))
    async with running(database_url, home, **QUIET) as service:
        check = await drift_of(service)
        again = await drift_of(service)
        history = (await service.client.get("/monitoring/drift/history")).json()["checks"]
    assert (check["verdict"], check["window"]["n_ratings"], check["window"]["days"]) == ("OK", A_WEEK, 7.0)
    [comparison] = check["comparisons"]
    assert (comparison["baseline"], comparison["model_version"], comparison["verdict"]) == ("model", 7, "OK")
    names = [*RATING_STATISTICS, *NEWEST_STATISTICS, *RESPONSE_STATISTICS]
    assert [statistic["name"] for statistic in comparison["statistics"]] == names
    assert {named(check)[name]["verdict"] for name in RESPONSE_STATISTICS} == {"NOT_ENOUGH_DATA"}
    assert again["check_id"] == check["check_id"]
    own = next(past_check for past_check in history if past_check["check_id"] == check["check_id"])
    assert (own["verdict"], own["asked_by"], own["is_usual"]) == ("OK", "api", True)
    assert own["distances"]["rating_distribution"] == named(check)["rating_distribution"]["distance"]
    assert own["changes"]["mean_rating"] == named(check)["mean_rating"]["change_pct"]
    assert own["segments"] == comparison["segments"][:3]


async def test_a_reversal_of_taste_is_an_alert_that_names_its_genre(database_url: str, home: Path) -> None:
    """A reversal of the taste for one genre is an alert that names the genre first."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), hated="Horror"))
    async with running(database_url, home, **QUIET) as service:
        check = await drift_of(service, threshold_pct=10, window="7d")
    assert check["verdict"] == "ALERT"
    assert named(check)["taste_by_genre"]["verdict"] == "ALERT"
    first = check["comparisons"][0]["segments"][0]
    assert (first["dimension"], first["name"]) == ("genre", "Horror")
    assert first["current_mean"] == 0.5


async def test_an_empty_week_is_neither_alert_nor_ok(database_url: str, home: Path) -> None:
    """An empty window gives NOT_ENOUGH_DATA; a window that ends at the newest rating has data."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC), has_last_week=False))
    async with running(database_url, home, **QUIET) as service:
        now, newest = await drift_of(service), await drift_of(service, until="newest")
    assert (now["verdict"], now["window"]["n_ratings"]) == ("NOT_ENOUGH_DATA", 0)
    assert (newest["verdict"], newest["window"]["n_ratings"]) == ("OK", A_WEEK)


async def test_nothing_is_compared_with_itself(database_url: str, home: Path) -> None:
    """A shift just before a training is detected right after it: that week is not in its own baseline."""
    until = datetime.now(UTC)
    fill_weeks(database_url, until, hated="Horror")
    async with running(database_url, home, **QUIET) as service:
        assert (await service.client.post("/monitoring/drift/baseline", json={})).status_code == 200
        check = await drift_of(service, until="newest")
    assert check["verdict"] == "ALERT"
    assert check["comparisons"][0]["n_windows"] == 19


async def test_without_a_model_or_a_baseline_nothing_is_claimed(database_url: str, home: Path) -> None:
    """The response says what is missing and what to do."""
    log = fill_weeks(database_url, datetime.now(UTC))
    async with running(database_url, home, **QUIET) as service:
        without_model = await drift_of(service, window="7d")
        promote_with_baseline(database_url, log, has_baseline=False)
        without_baseline = await drift_of(service, window="168h", threshold_pct=11)
    assert (without_model["verdict"], without_baseline["verdict"]) == ("NOT_ENOUGH_DATA", "NOT_ENOUGH_DATA")
    assert "no model" in without_model["summary"]
    assert "version 7 was registered before" in without_baseline["summary"]
    assert without_model["window"]["n_ratings"] == A_WEEK


async def test_a_pinned_baseline_is_shown_beside_that_of_the_model(database_url: str, home: Path) -> None:
    """A version's baseline or a new one can be pinned and unpinned."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC)))
    async with running(database_url, home, **QUIET) as service:
        path = "/monitoring/drift/baseline"
        before = (await service.client.get(path)).json()
        of_version = (await service.client.post(path, json={"version": 7})).json()
        unknown = await service.client.post(path, json={"version": 8})
        taken = (await service.client.post(path, json={})).json()
        check = await drift_of(service)
        after = (await service.client.delete(path)).json()
    assert (before["model_version"], before["model"]["n_windows"], before["pinned"]) == (7, 19, None)
    assert of_version["pinned"]["model_version"] == 7
    assert (unknown.status_code, "no baseline" in error_of(unknown)["message"]) == (404, True)
    assert (taken["pinned"]["model_version"], taken["pinned"]["n_windows"]) == (None, 20)
    assert taken["pinned"]["whole"]["n_ratings"] == 21 * A_WEEK
    assert [comparison["baseline"] for comparison in check["comparisons"]] == ["model", "pinned"]
    assert after["pinned"] is None
    assert after["model"] is not None


async def test_what_is_pinned_or_no_longer_counts_from_the_next_request_on(database_url: str, home: Path) -> None:
    """Pinning and unpinning apply at once, although the same check was cached less than a minute before."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC)))
    async with running(database_url, home, **QUIET) as service:
        path = "/monitoring/drift/baseline"
        checks = [await drift_of(service), await drift_of(service)]
        assert (await service.client.post(path, json={"version": 7})).status_code == 200
        checks += [await drift_of(service), await drift_of(service)]
        assert (await service.client.delete(path)).status_code == 200
        checks += [await drift_of(service)]
    compared = [[comparison["baseline"] for comparison in check["comparisons"]] for check in checks]
    assert compared == [["model"], ["model"], ["model", "pinned"], ["model", "pinned"], ["model"]]
    assert [nth for nth, check in enumerate(checks) if check["check_id"] != checks[nth - 1]["check_id"]] == [0, 2, 4]


async def test_other_lengths_are_compared_with_windows_of_their_own(database_url: str, home: Path) -> None:
    """A check of 14 days has a baseline of 14-day windows and of their newest parts, computed once."""
    promote_with_baseline(database_url, fill_weeks(database_url, datetime.now(UTC)))
    async with running(database_url, home, **QUIET) as service:
        check = await drift_of(service, window="14d")
        await drift_of(service, window="336h", threshold_pct=20)
    assert (check["verdict"], check["window"]["days"], check["comparisons"][0]["n_windows"]) == ("OK", 14.0, 8)
    assert check["window"]["n_ratings"] == 2 * A_WEEK
    with psycopg.connect(database_url) as connection:
        lengths = connection.execute("SELECT window_days FROM cineclub.drift_baseline_lengths").fetchall()
    assert lengths == [(14.0,), (14.0 / NEWEST_PART,)]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"window": "7"}, "7d or 24h"),
        ({"window": "0d"}, "7d or 24h"),
        ({"window": "367d"}, "366 days"),
        ({"threshold_pct": "0.05"}, "0.1"),
        ({"threshold_pct": "1001"}, "1000"),
        ({"threshold_pct": "nan"}, "threshold_pct"),
        ({"until": "yesterday"}, "ISO 8601"),
        ({"until": "2026-05-01T20:15:00"}, "ISO 8601"),
        ({"until": "9999-01-01T00:00:00Z"}, "not later than now"),
        ({"until": "0001-01-01T00:00:00+00:00"}, "ISO 8601"),
        ({"until": "0001-01-01T00:00:00+23:59"}, "ISO 8601"),
        ({"until": "1969-12-31T23:59:59Z"}, "ISO 8601"),
        ({"until": "9999-12-31T23:59:59.999999-23:59"}, "not later than now"),
    ],
)
async def test_what_cannot_be_checked_is_refused(empty: Service, params: dict[str, str], message: str) -> None:
    """Invalid requests are refused with the allowed values."""
    response: Response = await empty.client.get("/monitoring/drift", params=params)
    assert response.status_code == 422
    assert message in error_of(response)["message"]


@pytest.mark.parametrize("until", ["1970-01-01T00:00:00Z", "1970-01-02T00:00:00-23:59:59.999999"])
async def test_the_earliest_window_can_be_checked(empty: Service, until: str) -> None:
    """A window may begin before 1970, with any offset; it has no ratings."""
    assert (await drift_of(empty, until=until, window="366d"))["verdict"] == "NOT_ENOUGH_DATA"


async def test_an_empty_service_says_that_there_is_nothing(empty: Service) -> None:
    """Without ratings there is no verdict, no baseline and nothing to pin."""
    assert (await drift_of(empty))["verdict"] == "NOT_ENOUGH_DATA"
    assert (await drift_of(empty, until="newest"))["verdict"] == "NOT_ENOUGH_DATA"
    pinned = await empty.client.post("/monitoring/drift/baseline", json={})
    assert (pinned.status_code, error_of(pinned)["code"]) == (503, "not_enough_data")


async def test_the_past_can_be_checked(database_url: str, home: Path) -> None:
    """A window that ended earlier holds the ratings of that time."""
    until = datetime.now(UTC)
    promote_with_baseline(database_url, fill_weeks(database_url, until, hated="Horror"))
    async with running(database_url, home, **QUIET) as service:
        check = await drift_of(service, until=(until - timedelta(days=7)).isoformat())
    assert (check["verdict"], check["window"]["n_ratings"]) == ("OK", A_WEEK)
