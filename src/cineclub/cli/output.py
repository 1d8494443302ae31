"""Output: results on stdout, everything else on stderr; no colours and progress bars without a terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from cineclub.cli.text import print_json, visible

__all__ = ["VisibleConsole", "print_json", "stderr", "stdout"]

PIPED_WIDTH = 80


class VisibleConsole(Console):
    """A console that prints text as it is, cells of tables too: no markup, no emoji codes, no control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text that is printed for a string."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})


def stdout() -> Console:
    """Return the console of results: plain text of 80 columns without a terminal."""
    return _console(is_stderr=False)


def stderr() -> Console:
    """Return the console of progress, hints and errors."""
    return _console(is_stderr=True)


def _console(*, is_stderr: bool) -> VisibleConsole:
    """Return a console as wide as the terminal, or of 80 columns without one."""
    stream = sys.stderr if is_stderr else sys.stdout
    return VisibleConsole(file=stream, width=None if stream.isatty() else PIPED_WIDTH, soft_wrap=False)
