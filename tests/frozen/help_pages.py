"""What of a help page is a promise: usage, arguments, options with types, defaults and ranges, and commands."""

import re

SECTION = re.compile(r"^(Usage|Arguments|Options|Commands):(.*)$")
ENTRY = re.compile(r"^  (\S.*)$")
NOTES = re.compile(r"\[([^\[\]]*)\]\s*$")
HelpPage = dict[str, str | dict[str, str]]


def parsed(text: str) -> HelpPage:
    """Return the promises of a page, without its prose: names, metavars and notes such as ``default: 10; x>=1``."""
    page: HelpPage = {}
    for title, lines in _sections(text).items():
        if title == "Usage":
            page[title] = " ".join(" ".join(lines).split())
        elif title == "Commands":
            page[title] = dict.fromkeys(sorted(_split(entry)[0] for entry in _entries(lines)), "")
        else:
            page[title] = {name: _notes(words) for name, words in map(_split, _entries(lines))}
    return page


def _sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section; a paragraph of prose belongs to none."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in text.splitlines():
        if match := SECTION.match(line):
            title = match[1]
            sections[title] = [match[2]]
        elif not line.strip():
            title = ""
        elif title:
            sections[title].append(line)
    return sections


def _entries(lines: list[str]) -> list[str]:
    """Return each entry of a list on one line, with two spaces between its name and its words."""
    entries: list[str] = []
    for line in lines:
        if match := ENTRY.match(line):
            entries.append(match[1])
        elif line.strip():
            entries[-1] += ("" if "  " in entries[-1] else " ") + " " + line.strip()
    return entries


def _split(entry: str) -> tuple[str, str]:
    """Return the name with its metavar, and the words."""
    name, _, words = entry.partition("  ")
    return name, words.strip()


def _notes(words: str) -> str:
    """Return what stands in brackets at the end: default, range, required."""
    match = NOTES.search(words)
    return " ".join(match[1].split()) if match else ""
