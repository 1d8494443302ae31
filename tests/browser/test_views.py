"""The views of the page that need no training: keys, drift, and figures from metrics."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import drift_answers
import pytest
from api_processes import free_ports, start_api, wait_until_alive
from canned import canned
from chromium import PHONE, RIGHT, Page
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
    """A service that needs keys, with two keys."""

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
    """The page over documented drift responses."""
    responses = {"/monitoring/drift": drift_answers.check(), "/monitoring/drift/history": drift_answers.history()}
    with canned({path: (200, document) for path, document in responses.items()}) as address:
        page = Page(driver, address)
        page.complaints()
        yield page
        assert page.complaints() == []


def test_a_key_is_asked_for_and_kept_in_the_tab(driver: webdriver.Chrome, guarded: Guarded) -> None:
    """The page asks for a missing, wrong or insufficient key, and keeps a valid one in the tab."""
    page = Page(driver, guarded.address)
    page.open("now")
    page.shows("key", "#key-place [role=alert]")
    page.shows("ready")  # the state needs no key
    use_key(page, "guessed")
    page.shows("key", "#key-place [role=alert]")
    use_key(page, guarded.reader)
    page.shows("ease version 1", ".wide")
    page.shows("needs a key with the scope metrics", "#key-place")
    use_key(page, guarded.owner)
    page.shows("Server errors")
    assert page.text("#key-place") == ""
    stored = page.driver.execute_script("return [sessionStorage['cineclub-key'], localStorage.length, document.cookie]")
    assert stored == [guarded.owner, 0, ""]
    assert guarded.owner not in page.driver.current_url
    page.driver.execute_script("sessionStorage.clear()")
    page.driver.get_log("browser")  # the browser logs each 401 and 403


def use_key(page: Page, secret: str) -> None:
    """Type a key into its field."""
    field = page.find("#key-field")
    field.clear()
    field.send_keys(secret)
    page.click("#key-place button.main")


def test_drift_shows_what_moved_where_and_since_when(drifting: Page) -> None:
    """The view shows verdict, summary, each statistic, the segments by size, and the checks over time."""
    drifting.open("drift")
    drifting.shows("ALERT", "#drift-result .headline")
    drifting.shows("people rate Horror 2.12")
    drifting.shows("the baseline of version 7")
    statistics = drifting.text("#drift-result table")
    assert "taste by genre" in statistics
    assert "not enough data" in statistics
    assert drifting.all("#drift-result .bar")[0].get_attribute("class") == "bar accent"
    assert len(drifting.all(".mark")) == drift_answers.N_CHECKS
    assert len(drifting.all(".mark.bad")) == drift_answers.SHIFTED_CHECKS
    drifting.click("#check-drift")
    drifting.shows("ALERT", "#drift-result .headline")
    script = "return performance.getEntriesByType('resource').map((one) => one.name).join(' ')"
    drifting.until(lambda: "window=7d&threshold_pct=10" in drifting.driver.execute_script(script), "nothing was asked")


def test_drift_fits_a_phone(drifting: Page) -> None:
    """Tables scroll in themselves; the page does not."""
    drifting.open("drift", width=PHONE[0], height=PHONE[1], is_dark=True)
    drifting.shows("ALERT", "#drift-result .headline")
    assert drifting.driver.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_a_service_without_drift_routes_says_so(driver: webdriver.Chrome) -> None:
    """A 404 of the drift routes is shown as a sentence."""
    with canned({}) as address:
        page = Page(driver, address)
        page.open("drift")
        page.shows("Drift is not available")
        assert page.complaints() == []


def test_what_an_api_says_is_text_and_never_markup(driver: webdriver.Chrome) -> None:
    """Texts of the API that look like HTML are shown as text."""
    evil = "<img src=x onerror=document.title='gone'>"
    refused = {"error": {"code": "x", "message": evil}}
    with canned({"/monitoring/drift": (422, refused), "/monitoring/drift/history": (422, refused)}) as address:
        page = Page(driver, address)
        page.open("drift")
        page.shows(evil)
        assert page.all("main img") == []
        assert page.driver.title.startswith("Drift")
        page.driver.get_log("browser")  # the browser logs the 422


def version(number: int, verdict: str, *, serves: bool) -> dict[str, Any]:
    """Return a version with the fields that the page shows."""
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


def test_a_rejected_version_that_serves_is_shown_in_words(driver: webdriver.Chrome) -> None:
    """A served rejected version has a warning, and so has the promotion of another rejected one."""
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
        page.shows("regardless of the gate's verdict", "dialog[open]")
        assert page.complaints() == []


def test_figures_between_two_readings_of_the_metrics(drifting: Page) -> None:
    """Increases by label, also after a counter reset, and quantiles within their bucket are right."""
    drifting.open("drift")
    quoted = json.dumps(EXPOSITION)
    both = f"((after) => [m.parsed(''), m.parsed(after)])({quoted})"
    model = "(labels) => labels.strategy === 'model'"
    script = (
        f"(([before, after]) => [m.growth(before, after, 'answers_total', {model}), "
        "m.growth(after, m.parsed('answers_total 3'), 'answers_total'), m.total(after, 'answers_total'), "
        "m.quantile(before, after, 'took', 0.5), m.quantile(before, after, 'took', 0.75), "
        f"m.quantile(before, after, 'took', 0.99), m.quantile(after, after, 'took', 0.5)])({both})"
    )
    figures = drifting.value_of("exposition.js", script)
    assert figures[:3] == [30, 3, 40]
    assert figures[3:6] == pytest.approx([0.1 * 50 / 60, 0.15, 0.2])
    assert figures[6] is None


EVIL = "<img src=x onerror=document.title='gone'>"


def movie(number: int, **known: Any) -> dict[str, Any]:
    """Return a film with the fields that every list of the API has."""
    return {"movie_id": number, "title": f"Film {number}", "year": 1998, "genres": ["Action"], **known}


def recommendation(rank: int, number: int, **known: Any) -> dict[str, Any]:
    """Return a recommended film."""
    more = {"rank": rank, "score": 1.0, "predicted_stars": None, "reasons": [], "crowd_weight": None}
    return movie(number, **more, **{"similar_to": None, **known})


@pytest.fixture
def trying(driver: webdriver.Chrome) -> Iterator[tuple[Page, list[Any]]]:
    """The page over canned films with attributes, and the bodies of its requests for recommendations."""
    shared = [{"kind": "director", "name": "John Frankenheimer"}, {"kind": "keyword", "name": EVIL}]
    similar_to = {"movie_id": 8, "title": "Ronin", "shared": shared}
    recommended = {
        "strategy": "model",
        "degraded": False,
        "model": {"name": "ease", "version": 7},
        "unknown_films": [],
        "recommendations": [recommendation(1, 5), recommendation(2, 9, similar_to=similar_to)],
    }
    labels = {"director": ["Agnès Varda"], "keyword": [EVIL, {"name": "heist", "weight": 0.5}], "language": ["French"]}
    attributes = {"labels": labels, "runtime_minutes": 122, "available": False}
    similar = {"strategy": "attributes", "movies": [movie(8, **attributes, score=1.0, similar_to=similar_to)]}
    responses = {
        "/predict/": (200, recommended),
        "/movies/": (200, {"movies": [movie(9, **attributes), movie(7)]}),
        "/movies/9/similar": (200, similar),
    }
    posted: list[Any] = []
    with canned(responses, posted) as address:
        page = Page(driver, address)
        page.complaints()
        page.open("try")
        yield page, posted
        assert page.all("main img") == []
        assert page.driver.title.startswith("Try it")
        assert page.complaints() == []


def test_a_film_that_no_model_has_learned_says_what_speaks_for_it(trying: tuple[Page, list[Any]]) -> None:
    """The label is text, whatever it looks like."""
    page, _ = trying
    page.shows(f"new to the model, like Ronin: director John Frankenheimer, keyword {EVIL}", "[data-movie='9']")
    assert "new to the model" not in page.text("[data-movie='5']")


def test_films_show_what_is_known_of_them(trying: tuple[Page, list[Any]]) -> None:
    """Director, runtime, a few labels, and whether they were withdrawn; nothing where nothing is known."""
    page, _ = trying
    page.find("#search").send_keys("film")
    page.shows(f"Action · by Agnès Varda · 122 min · {EVIL}, heist", "#search-results li")
    page.shows("withdrawn", "#search-results li")
    assert page.text("#search-results li:nth-child(2)").split("\n") == ["Film 7 (1998)", "Action"]


def test_similar_films_by_attributes_show_what_they_share(trying: tuple[Page, list[Any]]) -> None:
    """They are asked for when somebody wants to see them."""
    page, _ = trying
    page.click("[data-movie='9'] button")
    page.shows(f"both: director John Frankenheimer, keyword {EVIL}", "[data-similar='8']")
    page.shows("122 min", "[data-similar='8']")
    page.click("[data-movie='9'] button")
    page.until(lambda: not page.find("[data-movie='9'] .similar").is_displayed(), "the similar films stay")


def test_a_list_can_be_made_fresh(trying: tuple[Page, list[Any]]) -> None:
    """The slider is sent with the ratings, and says its share."""
    page, posted = trying
    page.shows("0 %", ".fresh output")
    page.until(lambda: posted and posted[-1]["fresh"] == 0, "nothing was asked")
    page.find("#fresh").send_keys(RIGHT, RIGHT, RIGHT)
    page.shows("30 %", ".fresh output")
    page.until(lambda: posted[-1]["fresh"] == 0.3, "no fresh list was asked for")


def test_films_with_attributes_fit_a_phone(trying: tuple[Page, list[Any]]) -> None:
    """Nothing is wider than the window."""
    page, _ = trying
    page.open("try", width=PHONE[0], height=PHONE[1])
    page.click("[data-movie='9'] button")
    page.shows("both:", "[data-similar='8']")
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
