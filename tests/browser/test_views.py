"""What the page does where it takes no training to see: keys, drift as it is documented, figures out of metrics."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drift_answers
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from canned import canned
from chromium import PHONE, Page
from selenium import webdriver
from small_service import fill, promote, small_artifact

from cineclub.adapters.postgres.api_keys import PostgresApiKeys

EXPOSITION = r"""# HELP answers Answers, all of them.
# TYPE answers counter
answers_total{strategy="model",note="a \"quoted\" one"} 30.0
answers_total{strategy="popular",note=""} 10.0
took_bucket{le="0.1"} 60.0
took_bucket{le="0.2"} 90.0
took_bucket{le="+Inf"} 100.0
"""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A service that needs keys, and two of them."""

    address: str
    reader: str
    owner: str


@pytest.fixture
def guarded(database_url: str, home: Path) -> Iterator[Guarded]:
    """A service that needs keys, with a small catalogue and a model."""
    keys = PostgresApiKeys(database_url)
    reader, owner = (keys.create("test", [scope], None)[1] for scope in ("read", "admin"))
    fill(database_url)
    promote(database_url, 1, small_artifact(home / "ease", "ease"))
    [port] = free_ports(1)
    process = start_api(database_url, home, port, CINECLUB_REQUIRE_KEYS="true")
    try:
        wait_until_alive(f"http://127.0.0.1:{port}")
        yield Guarded(f"http://127.0.0.1:{port}", reader, owner)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def drifting(driver: webdriver.Chrome) -> Iterator[Page]:
    """The page over documented answers about drift."""
    answers = {"/monitoring/drift": drift_answers.check(), "/monitoring/drift/history": drift_answers.history()}
    with canned({path: (200, document) for path, document in answers.items()}) as address:
        page = Page(driver, address)
        page.complaints()
        yield page
        assert page.complaints() == []


def test_a_key_is_asked_for_and_kept_in_the_tab(driver: webdriver.Chrome, guarded: Guarded) -> None:
    """Without one the API's words and a field; a wrong one is said; one without the scope too; the right one opens."""
    page = Page(driver, guarded.address)
    page.open("now")
    page.shows("key", "#key-place [role=alert]")
    page.shows("ready")  # the state is told to everybody
    use_key(page, "guessed")
    page.shows("key", "#key-place [role=alert]")
    use_key(page, guarded.reader)
    page.shows("ease version 1", ".wide")
    page.shows("needs a key with the scope metrics", "#key-place")
    use_key(page, guarded.owner)
    page.shows("Server errors")
    assert page.text("#key-place") == ""
    kept = page.driver.execute_script("return [sessionStorage['cineclub-key'], localStorage.length, document.cookie]")
    assert kept == [guarded.owner, 0, ""]
    assert guarded.owner not in page.driver.current_url
    page.driver.execute_script("sessionStorage.clear()")
    page.driver.get_log("browser")  # the browser itself notes each 401 and 403


def use_key(page: Page, secret: str) -> None:
    """Type a key into the field for it."""
    field = page.find("#key-field")
    field.clear()
    field.send_keys(secret)
    page.click("#key-place button.main")


def test_drift_shows_what_moved_where_and_since_when(drifting: Page) -> None:
    """Verdict and summary, each statistic, the segments with the largest first, and the checks over time."""
    drifting.open("drift")
    drifting.shows("ALERT", "#drift-result .headline")
    drifting.shows("people rate Horror 2.12")
    drifting.shows("what version 7 learned from")
    statistics = drifting.text("#drift-result table")
    assert "taste by genre" in statistics
    assert "not enough data" in statistics
    assert drifting.all("#drift-result .bar")[0].get_attribute("class") == "bar accent"
    assert len(drifting.all(".mark")) == drift_answers.N_CHECKS
    assert len(drifting.all(".mark.bad")) == drift_answers.SHIFTED_CHECKS
    drifting.click("#check-drift")
    drifting.shows("ALERT", "#drift-result .headline")
    asked = "return performance.getEntriesByType('resource').map((one) => one.name).join(' ')"
    drifting.until(lambda: "window=7d&threshold_pct=10" in drifting.driver.execute_script(asked), "nothing was asked")


def test_drift_fits_a_phone(drifting: Page) -> None:
    """Tables scroll by themselves, the page does not."""
    drifting.open("drift", width=PHONE[0], height=PHONE[1], is_dark=True)
    drifting.shows("ALERT", "#drift-result .headline")
    assert drifting.driver.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_a_service_without_drift_routes_says_so(driver: webdriver.Chrome) -> None:
    """A 404 is told in words."""
    with canned({}) as address:
        page = Page(driver, address)
        page.open("drift")
        page.shows("Drift is not available")
        assert page.complaints() == []


def test_what_an_api_says_is_text_and_never_markup(driver: webdriver.Chrome) -> None:
    """A film, a reason or an error that looks like HTML is shown as it is written."""
    evil = "<img src=x onerror=document.title='gone'>"
    refused = {"error": {"code": "x", "message": evil}}
    with canned({"/monitoring/drift": (422, refused), "/monitoring/drift/history": (422, refused)}) as address:
        page = Page(driver, address)
        page.open("drift")
        page.shows(evil)
        assert page.all("main img") == []
        assert page.driver.title.startswith("Drift")
        page.driver.get_log("browser")  # the browser itself notes the 422


def version(number: int, verdict: str, *, serves: bool) -> dict[str, Any]:
    """Return a version as far as the page shows it."""
    return {
        "version": number,
        "name": "random",
        "verdict": verdict,
        "serves": serves,
        "reason": "random against ease: far worse",
        "registered_at": "2026-03-01T04:00:00Z",
        "training_id": None,
        "snapshot_n_ratings": 100,
        "metrics": {},
    }


def test_a_rejected_version_that_serves_is_told_in_words(driver: webdriver.Chrome) -> None:
    """Beside the one that serves alone; whoever is about to promote another rejected one is told before."""
    versions = [version(3, "REJECT", serves=False), version(2, "REJECT", serves=True), version(1, "HOLD", serves=False)]
    with canned({"/models/": (200, {"versions": versions, "promotions": [], "refusals": []})}) as address:
        page = Page(driver, address)
        page.complaints()
        page.open("versions")
        page.shows("It serves although the gate rejected it", "[data-version='2'] .failure")
        assert len(page.all(".version-list .failure")) == 1
        page.click("[data-promote='3']")
        page.shows("although the gate rejected it", "dialog[open]")
        page.click("dialog[open] button.quiet")
        page.click("[data-promote='1']")
        page.shows("whatever the gate said of it", "dialog[open]")
        assert page.complaints() == []


def test_figures_between_two_readings_of_the_metrics(drifting: Page) -> None:
    """Growth by label, also after the service began anew, and a quantile within its bucket."""
    drifting.open("drift")
    quoted = json.dumps(EXPOSITION)
    both = f"((after) => [m.parsed(''), m.parsed(after)])({quoted})"
    model = "(labels) => labels.strategy === 'model'"
    asked = (
        f"(([before, after]) => [m.growth(before, after, 'answers_total', {model}), "
        "m.growth(after, m.parsed('answers_total 3'), 'answers_total'), m.total(after, 'answers_total'), "
        "m.quantile(before, after, 'took', 0.5), m.quantile(before, after, 'took', 0.75), "
        f"m.quantile(before, after, 'took', 0.99), m.quantile(after, after, 'took', 0.5)])({both})"
    )
    found = drifting.asked_of("exposition.js", asked)
    assert found[:3] == [30, 3, 40]
    assert found[3:6] == pytest.approx([0.1 * 50 / 60, 0.15, 0.2])
    assert found[6] is None
