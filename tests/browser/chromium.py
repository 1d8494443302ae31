"""Debian's headless chromium, and the page in it."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
WAIT_SECONDS = 30.0
DESKTOP, PHONE = (1200, 900), (390, 844)
NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}


class BrowserMissing(Exception):
    """No chromium or driver is installed."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page of one service in a browser."""

    driver: webdriver.Chrome
    address: str

    def open(self, view: str, *, width: int = DESKTOP[0], height: int = DESKTOP[1], is_dark: bool = False) -> None:
        """Load a view in a window of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/#/{view}")

    def find(self, selector: str) -> WebElement:
        """Return the first matching element, waiting for it."""
        return self.until(lambda: self.all(selector), selector)[0]

    def all(self, selector: str) -> list[WebElement]:
        """Return the matching elements."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "main") -> str:
        """Return the text of the matching element; empty without one."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.driver.execute_script(script, selector))

    def click(self, selector: str) -> None:
        """Click an element once it is clickable."""

        def is_clicked() -> bool:
            with contextlib.suppress(Exception):  # not there yet, or just replaced
                self.find(selector).click()
                return True
            return False

        self.until(is_clicked, f"{selector} cannot be clicked")

    def press(self, *keys: str) -> None:
        """Press keys at the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def until(self, is_so: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
        """Return the result of a condition once it is true; elements redrawn meanwhile are read again."""
        waiting = WebDriverWait(self.driver, seconds, 0.05, ignored_exceptions=[StaleElementReferenceException])
        try:
            return waiting.until(lambda _: is_so())
        except TimeoutException as late:
            message = f"{what}; the page says {self.text()}"
            raise AssertionError(message) from late

    def shows(self, words: str, selector: str = "main", seconds: float = WAIT_SECONDS) -> None:
        """Wait until a part of the page shows a text."""
        self.until(lambda: words in self.text(selector), f"{selector} never says {words!r}", seconds)

    def confirm_dialog(self, reason: str | None) -> None:
        """Fill in and confirm the open dialog."""
        if reason is not None:
            self.find("dialog[open] textarea").send_keys(reason)
        self.click("dialog[open] button[type=submit]")
        self.until(lambda: not self.all("dialog"), "the dialog stays open")

    def value_of(self, module: str, expression: str) -> Any:
        """Return the value of an expression over a module ``m`` of the page."""
        script = f"const done = arguments[0]; import('{self.address}/assets/{module}').then((m) => done({expression}))"
        return self.driver.execute_async_script(script)

    def complaints(self) -> list[str]:
        """Return the console messages since the last call, without 404 responses, which the views handle."""
        return [entry["message"] for entry in self.driver.get_log("browser") if "status of 404" not in entry["message"]]


@contextlib.contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Yield a fresh chromium.

    Raises:
        BrowserMissing: it or its driver is not installed.
    """
    missing = [package for command, package in NEEDED.items() if shutil.which(command) is None]
    if missing:
        message = f"the tests of the page need Debian's chromium: apt-get install {' '.join(missing)}"
        raise BrowserMissing(message)
    with tempfile.TemporaryDirectory(prefix="cineclub-browser-", ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.binary_location = str(shutil.which("chromium"))
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.set_script_timeout(WAIT_SECONDS)
        try:
            yield driver
        finally:
            driver.quit()


TAB, ENTER, DOWN = Keys.TAB, Keys.ENTER, Keys.ARROW_DOWN
LEFT, RIGHT = Keys.ARROW_LEFT, Keys.ARROW_RIGHT
