"""Lists of Python objects as text, which the files of TMDB's movies on Kaggle hold; nothing is ever run."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from cineclub.adapters.files.movie_values import BadValue, text_of

LONGEST_LITERAL = 1 << 17
MOST_OBJECTS = 10_000
TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
FLAT = re.compile(r"\s*\[?\s*(?:\{(?:[\d\s:.,]|True|False|None)*\}[\s,]*)*\]?\s*")
"""What is left of such a list without its texts: objects of one level, whose values are numbers, truth values or None.

Nothing deeper reaches the parser, whose stack deep texts exhaust.
"""


def objects_of(text: str, column: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list, or one object as a list; none for an empty text.

    Raises:
        BadValue: the text is another, or too long.
    """
    if not text.strip():
        return []
    try:
        values = _evaluated(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        values = None
    objects = [values] if isinstance(values, dict) else values
    if not isinstance(objects, list) or len(objects) > MOST_OBJECTS:
        message = f"the column {column} holds no list of objects"
        raise BadValue(message)
    return [details for details in objects if isinstance(details, dict)]


def names_in(text: str, column: str, key: str = "name") -> Iterator[str]:
    """Yield the names of the objects of a list; raise BadValue for an object without one."""
    for details in objects_of(text, column):
        yield name_in(details, column, key)


def name_in(details: Mapping[str, Any], column: str, key: str = "name") -> str:
    """Return the name of an object.

    Raises:
        BadValue: it has none.
    """
    name = details.get(key)
    if not isinstance(name, str):
        message = f"an object in the column {column} has no {key}"
        raise BadValue(message)
    return sys.intern(text_of(name))


def _evaluated(text: str) -> Any:
    """Return the value of a flat list or object; None for another text."""
    if len(text) > LONGEST_LITERAL or not FLAT.fullmatch(TEXT.sub("", text)):
        return None
    return ast.literal_eval(text.strip())
