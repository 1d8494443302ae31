"""Where text goes: results to stdout, everything else to stderr; no colour and no bars where nobody watches."""

import json
import sys
from typing import Any

import typer
from rich.console import Console

PIPED_WIDTH = 80


def stdout() -> Console:
    """Return the console of results; piped, it is plain text of 80 columns."""
    return _console(is_stderr=False)


def stderr() -> Console:
    """Return the console of progress, hints and errors."""
    return _console(is_stderr=True)


def print_json(document: Any) -> None:
    """Print a document as JSON, and nothing else, on stdout."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def _console(*, is_stderr: bool) -> Console:
    """Return a console as wide as the terminal, or 80 columns where there is none."""
    stream = sys.stderr if is_stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPED_WIDTH, soft_wrap=False)
