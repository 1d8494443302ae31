"""The page of a real service in a real browser: train, promote, roll back, rate."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest
from chromium import DOWN, ENTER, LEFT, PHONE, TAB, Page
from selenium import webdriver
from served import served, train

from registry_bench import copied_database, write_ratings

TITLES = [("Toy Story", 1), ("Heat", 4), ("Casino", 7), ("Godfather, The", 10)]
VIEWS = ("now", "trainings", "versions", "drift", "try")


@pytest.fixture(scope="module")
def address(server_url: str, mlflow_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service over ratings of two tastes, with a first version in production."""
    home = tmp_path_factory.mktemp("served")
    with copied_database(server_url, mlflow_template) as database_url:
        write_ratings(database_url)
        with psycopg.connect(database_url) as connection:
            connection.cursor().executemany("UPDATE cineclub.movies SET title = %s WHERE id = %s", TITLES)
        with served(home, CINECLUB_DATABASE_URL=database_url) as running:
            train(running, {"models": ["popular", "ease"]})
            yield running


@pytest.fixture
def page(driver: webdriver.Chrome, address: str) -> Iterator[Page]:
    """The page; the console must have no errors at the end."""
    page = Page(driver, address)
    page.complaints()
    yield page
    assert page.complaints() == []


def serving(address: str) -> int:
    """Return the version in production."""
    return int(httpx.get(f"{address}/models/production").json()["version"])


def test_a_training_is_watched_and_its_version_promoted_and_rolled_back(page: Page) -> None:
    """A training is followed to its scoreboard; a promotion and a rollback change production, each with a reason."""
    before = serving(page.address)
    page.open("trainings")
    page.find("#models").send_keys("popular, knn, svd")
    page.find("#reason").send_keys("tried from the page")
    page.click("#start-training")
    page.find("#cancel-training")
    page.until(lambda: page.all(".steps .current"), "no step is seen under way")
    page.shows("succeeded", "#last-training", seconds=90)
    page.shows("tried from the page", ".report, main")
    page.shows("The gate's decision")
    assert page.all(".report svg .whisker")
    page.open("versions")
    other = next(
        version["version"]
        for version in httpx.get(f"{page.address}/models/").json()["versions"]
        if not version["serves"]
    )
    page.click(f"[data-promote='{other}']")
    page.confirm_dialog("the page says so")
    page.shows(f"Version {other}", "#notices", seconds=60)
    page.find(f"[data-version='{other}'].serves")
    page.until(lambda: serving(page.address) == other, "the other version never answers")
    page.shows("The page says so.")
    page.click("#rollback")
    page.confirm_dialog("it was a test")
    page.shows("serves again", "#notices", seconds=60)
    page.until(lambda: serving(page.address) not in {other, None}, "the former version never answers")
    page.shows("It was a test.")
    assert before in {version["version"] for version in httpx.get(f"{page.address}/models/").json()["versions"]}


def test_a_running_training_is_cancelled_after_a_confirmation(page: Page) -> None:
    """Closing the dialog cancels nothing; confirming cancels the training."""
    page.open("trainings")
    page.click("#start-training")
    page.click("#cancel-training")
    page.click("dialog[open] button.quiet")
    page.until(lambda: not page.all("dialog"), "the dialog stays open")
    page.click("#cancel-training")
    page.confirm_dialog(None)
    page.shows("cancelled", "#last-training", seconds=60)


def test_an_error_of_the_api_is_shown_in_its_own_words(page: Page) -> None:
    """An unknown model is refused with the API's message, which lists the models."""
    page.open("trainings")
    page.find("#models").send_keys("astrology")
    page.click("#start-training")
    page.shows("there is no model 'astrology'", ".failure")
    page.driver.get_log("browser")  # the browser logs the 422


def test_three_ratings_change_the_list_and_are_its_reasons(page: Page) -> None:
    """The first list is popular; each rating changes it, and deleting the ratings restores it."""
    page.open("try")
    popular = movies(page)
    seen = [popular]
    for title in ("Toy Story", "Heat", "Casino"):
        field = page.find("#search")
        field.clear()
        field.send_keys(title)
        page.until(lambda title=title: title in page.text("#search-results li"), f"{title} is not found")
        page.click("#search-results button")
        page.until(lambda: movies(page) != seen[-1], "the list does not change")
        seen.append(movies(page))
    page.shows("because you rated", "#recommendations")
    assert len({tuple(movies_shown) for movies_shown in seen}) == 4
    for left in (2, 1, 0):
        page.click(".rated button")
        page.until(lambda left=left: len(page.all(".rated li")) == left, "a rating stays")
    page.until(lambda: movies(page) == popular, "the popular films do not come back")


def movies(page: Page) -> list[str]:
    """Return the recommended films, once there are ten."""
    page.until(lambda: len(page.all(".recommended li")) == 10, "there are no ten films")
    script = "return [...document.querySelectorAll('.recommended li')].map((one) => one.dataset.movie)"
    return [str(text) for text in page.driver.execute_script(script)]


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    """The keyboard alone suffices to rate a film, and the focus is always visible."""
    page.open("now")
    page.shows("In production")
    for _ in range(30):
        page.press(TAB)
        if focused(page) == "Try it":
            break
    assert outline_of(page) != "none"
    page.press(ENTER)
    page.find("#search")
    for _ in range(30):
        page.press(TAB)
        if page.driver.switch_to.active_element.get_attribute("id") == "search":
            break
    page.press("godfather")
    page.until(lambda: page.all("#search-results button"), "nothing is found")
    popular = movies(page)
    page.press(DOWN)
    assert outline_of(page) != "none"
    page.press(ENTER)
    page.until(lambda: movies(page) != popular, "the list does not change")
    page.until(lambda: page.driver.switch_to.active_element.get_attribute("type") == "range", "the rating has no focus")
    page.press(LEFT)
    page.shows("4.5", ".rated output")


def focused(page: Page) -> str:
    """Return the text of the focused element."""
    return page.driver.switch_to.active_element.text


def outline_of(page: Page) -> str:
    """Return the outline of the focus."""
    return page.driver.switch_to.active_element.value_of_css_property("outline-style")


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_every_view_fits_a_phone_in_light_and_dark(page: Page, is_dark: bool) -> None:  # noqa: FBT001 - a parameter
    """At 390 pixels nothing scrolls sideways, and the background follows the system's theme."""
    for view in VIEWS:
        page.open(view, width=PHONE[0], height=PHONE[1], is_dark=is_dark)
        page.find(".card")
        page.until(lambda: "…" not in page.text(".card p"), "something is still being fetched")
        wide = page.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= PHONE[0], view
    background = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(channel) for channel in background.removeprefix("rgb(").rstrip(")").split(",")) < 384) == is_dark


def test_traffic_is_drawn_from_the_metrics(page: Page) -> None:
    """Responses given while the page is open appear in its figures."""
    page.open("now")
    page.shows("Server errors")

    def is_seen() -> bool:
        for _ in range(5):
            httpx.post(f"{page.address}/predict/", json={"user_id": 1})
        return "p99" in page.text() and bool(page.all(".curve"))

    page.until(is_seen, "the answers are not seen")


def test_drift_is_checked_on_demand(page: Page) -> None:
    """A check on request appears with its verdict and in the history."""
    page.open("drift")
    page.click("#check-drift")
    page.until(lambda: page.text("#drift-result .headline") != "", "there is no verdict")
    page.shows("asked here or over HTTP")
