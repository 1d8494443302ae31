"""One browser for all tests of the page."""

from collections.abc import Iterator

import pytest
from chromium import BrowserMissing, browser
from selenium import webdriver

from registry_fixtures import mlflow_template

__all__ = ["mlflow_template"]


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    """The browser; without one the tests fail and name what to install."""
    try:
        with browser() as started:
            yield started
    except BrowserMissing as missing:
        pytest.fail(str(missing))
