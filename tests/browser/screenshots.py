"""Screenshots for docs/images: the real service on the demo's ratings, in a real browser.

Drift is shown from the documented example, since the demo has no new ratings. Run by ``make screenshots``.
"""

import base64
import io
import itertools
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import drift_answers
import httpx
from canned import canned
from chromium import DESKTOP, PHONE, Page, browser
from PIL import Image
from served import served, train

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 150_000
N_COLOURS = 200
DEMO_USERS = 600
SECONDS_BETWEEN_REQUESTS = 0.05
READINGS = 12
LIKED = ("Toy Story", "Finding Nemo", "Monsters, Inc.")


def main() -> None:
    """Write every picture."""
    with (
        tempfile.TemporaryDirectory(prefix="cineclub-pictures-", ignore_cleanup_errors=True) as folder,
        browser() as driver,
    ):
        home = Path(folder)
        home.chmod(0o711)  # the user of PostgreSQL can enter
        with served(home, "demo") as address:
            train(address, {"models": ["popular", "ease"], "reason": "is the simpler model as good?"})
            with_traffic(address, lambda: pictures_of(Page(driver, address)))
        responses = {"/monitoring/drift": drift_answers.check(), "/monitoring/drift/history": drift_answers.history()}
        with canned({path: (200, document) for path, document in responses.items()}) as address:
            pictures_of_drift(Page(driver, address))


def with_traffic(address: str, work: Callable[[], None]) -> None:
    """Do work while users request recommendations."""
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=address) as client:
            for nth in itertools.count(1):
                if is_over.wait(SECONDS_BETWEEN_REQUESTS * (1 + nth % 40 / 20)):
                    return
                user = f"new-{nth}" if nth % 9 == 0 else nth % DEMO_USERS + 1
                client.post("/predict/", json={"user_id": user, "top_n": 10})

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        work()
    finally:
        is_over.set()
        asking.join()


def pictures_of(page: Page) -> None:
    """Write the pictures of the real service."""
    picture_of_try(page, "page-try-light.png")
    picture_of_try(page, "page-try-phone.png", width=PHONE[0])
    page.open("versions")
    page.find(".version-list li")
    write(page, "page-versions-light.png")
    page.open("trainings")
    page.find(".report svg .dot")
    write(page, "page-trainings-light.png")
    page.open("trainings", is_dark=True)
    page.find(".report svg .dot")
    write(page, "page-trainings-dark.png")
    picture_of_progress(page)
    for name, width, is_dark in (("phone", PHONE[0], False), ("dark", DESKTOP[0], True), ("light", DESKTOP[0], False)):
        page.open("now", width=width, is_dark=is_dark)
        page.until(lambda: curve_points(page) > READINGS, "no curve is drawn")
        write(page, f"page-now-{name}.png")


def curve_points(page: Page) -> int:
    """Return the number of points of the first curve."""
    curves = page.all(".curve")
    return str(curves[0].get_attribute("d")).count("L") if curves else 0


def picture_of_try(page: Page, name: str, width: int = DESKTOP[0]) -> None:
    """Rate some films and show the result."""
    page.open("try", width=width)
    for nth, title in enumerate(LIKED, 1):
        field = page.find("#search")
        field.clear()
        field.send_keys(title)
        page.until(
            lambda title=title: title.partition(",")[0] in page.text("#search-results li"), f"{title} is not found"
        )
        page.click("#search-results button")
        page.until(lambda nth=nth: len(page.all(".rated li")) == nth, "the rating does not appear")
    page.shows("because you rated", "#recommendations")
    page.driver.execute_script("document.activeElement.blur()")
    write(page, name)


def picture_of_progress(page: Page) -> None:
    """Show a training of every model while it runs."""
    page.open("trainings")
    page.click("#start-training")
    page.until(lambda: len(page.all(".steps .done")) >= 2, "the training does not come so far")
    write(page, "page-progress-light.png", selector=".card")
    page.shows("succeeded", "#last-training", seconds=90)


def pictures_of_drift(page: Page) -> None:
    """Write the pictures of the documented example."""
    for name, is_dark in (("light", False), ("dark", True)):
        page.open("drift", is_dark=is_dark)
        page.find(".mark")
        write(page, f"page-drift-{name}.png")


def write(page: Page, name: str, selector: str = "html") -> None:
    """Write a picture of a whole element, including its part below the window.

    Raises:
        ValueError: the picture is too large to keep.
    """
    script = "const {x, y, width, height} = document.querySelector(arguments[0]).getBoundingClientRect(); "
    box = page.driver.execute_script(f"{script}return {{x, y: y + scrollY, width, height, scale: 1}}", selector)
    taken = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": box})
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    picture.quantize(N_COLOURS, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
    n_bytes = (IMAGES / name).stat().st_size
    if n_bytes > MAX_BYTES:
        message = f"{name} has {n_bytes} bytes, more than {MAX_BYTES}"
        raise ValueError(message)


if __name__ == "__main__":
    main()
