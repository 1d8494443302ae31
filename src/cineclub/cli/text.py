"""Text for terminals: titles, ids, reasons and file names come from others, and may hold anything."""

import json
import re
from typing import Any

import typer

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal, turn the direction of text or cannot be written; without LF and TAB."""


def visible(text: str) -> str:
    """Return a text in which every control character is shown by its number."""
    return CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


def visible_line(text: str) -> str:
    """Return the same in one line: line breaks and tabs are shown too."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def echo(text: str, *, err: bool = False) -> None:
    """Print a text on stdout, or on stderr, without control characters."""
    typer.echo(visible(text), err=err)


def print_json(document: Any) -> None:
    """Print a document as JSON on stdout; a reader of JSON gets every character back."""
    shown = json.dumps(document, indent=1, ensure_ascii=False)
    typer.echo(CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", shown))
