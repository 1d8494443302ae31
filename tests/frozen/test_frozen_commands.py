"""The commands are those of 293aa4c, but for what changed on purpose.

Usage, arguments, options, types, defaults, ranges and sub-commands are compared. Sentences are not: they may be written
better, the frozen files keep what they were.
"""

import json
import subprocess
import sys

import pytest
from differences import assert_only_changed_on_purpose, differences
from frozen_service import DATA, Place
from help_pages import parsed

PRINT_HELPS = """
import contextlib, io, json, sys
from importlib.metadata import entry_points

main = next(one for one in entry_points(group="console_scripts") if one.name == "cineclub").load()
pages = {}
for command in json.loads(sys.argv[1]):
    sys.argv = [*command.split(), "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main()
    pages[command] = printed.getvalue()
print(json.dumps(pages))
"""


def help_pages(commands: list[str], place: Place) -> dict[str, str]:
    """Return the help of commands, all by the installed entry point in one process."""
    run = [sys.executable, "-c", PRINT_HELPS, json.dumps(commands)]
    return json.loads(subprocess.run(run, env=place.environment, capture_output=True, text=True, check=True).stdout)


def test_commands_arguments_and_options_are_those_that_were_frozen(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every help page promises the same, and no command is missing or new."""
    frozen = {path.stem.replace("-", " "): path.read_text("utf-8") for path in sorted((DATA / "help").iterdir())}
    present = help_pages(list(frozen), Place(tmp_path_factory.mktemp("home")))
    actual = list(
        differences("help", *({name: parsed(text) for name, text in pages.items()} for pages in (frozen, present)))
    )
    assert_only_changed_on_purpose("help", actual)
