"""Titles, ids and file names are printed as they are: no markup, no escapes for the terminal."""

import json
import re
from pathlib import Path

import pytest
from command_line import cineclub

from cineclub.cli import output
from cineclub.cli.tables import table
from cineclub.cli.text import echo, print_json, visible
from cineclub.settings import Settings

COMMANDS = Path(output.__file__).parent
TITLES = ("[director cut] Heat", "[/] Ronin", ":smile: Alien", "\x1b[31mred\x9b2J", "two\nlines", "\u202egnp.exe")


def test_control_characters_are_shown_by_number() -> None:
    """Escapes, C1, changes of direction and lone surrogates become text; letters, emoji and line breaks stay."""
    assert visible("a\x1b[2J\x00\x7f\x9b\u202e\ud800") == r"a\x1b[2J\x00\x7f\x9b\u202e\ud800"
    assert visible("Amélie 天 😀\n\t") == "Amélie 天 😀\n\t"


def test_tables_and_messages_print_what_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells, titles of tables and plain messages lose nothing and steer nothing."""
    output.stdout().print(table("[b]user[/b] \x1b[1m", ["film", "[head]"], [[title, "x"] for title in TITLES]))
    output.stdout().print("[/] and \x1b[31m")
    echo("[/] \x1b[31m")
    printed = capsys.readouterr().out
    for shown in ("[director cut] Heat", "[/] Ronin", ":smile: Alien", r"\x1b[31mred\x9b2J", r"two\nlines"):
        assert shown in printed
    assert "[b]user[/b]" in printed
    assert "[head]" in printed
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)


def test_json_gives_back_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    """What is dangerous on a terminal is escaped as JSON does it."""
    print_json({"titles": TITLES})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"titles": list(TITLES)}
    assert not re.search("[\x7f-\x9f\x1b\u202e]", printed)


def test_every_command_prints_through_these_functions() -> None:
    """No other module writes to the terminal, nor makes a console."""
    others = re.compile(
        r"typer\.echo\(|typer\.secho\(|click\.echo\(|\bprint\(\)?(?<!\.print\()|from_markup|\bConsole\("
    )
    others_used = {
        f"{path.name}: {line.strip()}"
        for path in COMMANDS.glob("*.py")
        if path.name not in {"text.py", "output.py"}
        for line in path.read_text().splitlines()
        if others.search(line.replace(".print(", "."))
    }
    assert not others_used


def test_recommendations_show_titles_as_they_are(connected: Settings, tmp_path: Path) -> None:
    """`cineclub recommend` prints each title, whatever it holds."""
    path = tmp_path / "votes.csv"
    rows = [f'{user},{nth},5,96498270{nth},"{title}"' for nth, title in enumerate(TITLES) for user in range(5)]
    path.write_text("\n".join(["user_id,movie_id,rating,rated_at,title", *rows]) + "\n")
    options = ("--title-column", "title", "--scale", "1-5", "--rejects", str(tmp_path / "rejects.csv"))
    imported = cineclub(connected.home, "import", str(path), *options)
    assert imported.returncode == 0, imported.stderr
    shown = cineclub(connected.home, "recommend", "nobody [/] \x1b[31m")
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.split())
    for title in ("[director", "[/] Ronin", ":smile:", r"two\nlines"):
        assert title in words, words
    assert "\x1b" not in shown.stdout
    assert "\u202e" not in shown.stdout
