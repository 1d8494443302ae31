"""The comparison with what is frozen finds what differs, and its table of intended changes cannot go stale."""

from pathlib import Path
from typing import Any

import pytest
from differences import assert_only_changed_on_purpose, differences, listed_changes
from help_pages import parsed
from openapi_structure import without_prose

FROZEN: dict[str, Any] = {"score": 1.0, "movies": [{"id": 1}, {"id": 2}], "title": None}
HELP = """Usage: cineclub do [OPTIONS] {A}

  Do it.

Arguments:
  A <int range>  the first  [x>=1;
                 required]

Options:
  --scenario-of-the-month <str>
                       what happens  [default:
                       calm]
  -h, --help           Show this message and exit.
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table that lists one change of a route."""
    path = tmp_path / "changed.toml"
    path.write_text('[[change]]\nsurface = "openapi"\nat = "openapi.paths./old"\nwhy = "it is /new now"\n', "utf-8")
    return path


@pytest.mark.parametrize(
    "present",
    [
        FROZEN | {"score": 1.0 + 1e-5},
        FROZEN | {"score": 1},
        FROZEN | {"movies": [{"id": 2}, {"id": 1}]},
        FROZEN | {"movies": [{"id": 1}]},
        FROZEN | {"more": None},
        {"score": 1.0, "movies": FROZEN["movies"]},
    ],
)
def test_other_values_orders_types_and_fields_are_differences(present: dict[str, Any]) -> None:
    """Each of them is found."""
    assert list(differences("it", FROZEN, present))


def test_the_last_digit_and_ignored_fields_are_no_differences() -> None:
    """A score may differ by a unit of its sixth digit, and what is ignored by anything."""
    assert not list(differences("it", FROZEN, FROZEN | {"score": 1.000001, "title": "x"}, {"title"}))


def test_a_listed_change_is_accepted_and_another_is_not(table: Path) -> None:
    """The entry covers what lies below it, on its own surface alone."""
    actual = [*differences("openapi", {"paths": {"/old": {"get": 1}}}, {"paths": {}})]
    assert_only_changed_on_purpose("openapi", actual, table)
    with pytest.raises(AssertionError, match="does not list"):
        assert_only_changed_on_purpose("openapi", [*actual, *differences("openapi", 1, 2)], table)
    with pytest.raises(AssertionError, match="does not list"):
        assert_only_changed_on_purpose("help", actual, table)


def test_a_listed_change_that_is_none_is_refused(table: Path) -> None:
    """The table cannot go stale."""
    with pytest.raises(AssertionError, match="nothing differs"):
        assert_only_changed_on_purpose("openapi", [], table)


def test_every_listed_change_says_why() -> None:
    """The table in use is well formed, and the changelog is where its sentences are told at length."""
    assert all(entry["why"].strip() for entry in listed_changes())


def test_prose_is_no_promise_and_properties_are() -> None:
    """A description goes, a property called description stays."""
    schema = {"description": "prose", "properties": {"description": {"type": "string", "title": "Prose"}}}
    assert without_prose(schema) == {"properties": {"description": {"type": "string"}}}


def test_a_help_page_is_read_across_its_line_breaks() -> None:
    """Names, defaults, ranges and what is required are found wherever the lines break; sentences are not kept."""
    assert parsed(HELP) == {
        "Usage": "cineclub do [OPTIONS] {A}",
        "Arguments": {"A <int range>": "x>=1; required"},
        "Options": {"--scenario-of-the-month <str>": "default: calm", "-h, --help": ""},
    }
