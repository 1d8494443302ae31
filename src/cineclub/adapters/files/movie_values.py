"""Values of the columns that describe movies, as files spell them."""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cineclub.adapters.files.validation import microseconds_of
from cineclub.domain.ratings.imported import MAX_ID_CHARACTERS
from cineclub.domain.ratings.labels import GENRE, KIND, Label, written_labels

EARLIEST_YEAR, LATEST_YEAR = 1800, 2200
MAX_MINUTES, MAX_OVERVIEW = 100_000, 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRUTHS = {"true": True, "t": True, "1": True, "yes": True, "false": False, "f": False, "0": False, "no": False}
SERIES = frozenset({
    *("tv", "tvseries", "tvepisode", "tvminiseries", "tvpilot", "tvshow", "tvseason"),
    *("series", "miniseries", "episode", "season", "show", "videogame", "game", "podcastseries", "podcastepisode"),
})  # fmt: skip
"""Types of entries that are no films, in letters alone; a tvMovie, a short and a video are films."""

TYPE_COLUMNS = ("titleType", "Title Type", "media_type", "type")


class BadValue(ValueError):
    """A value that its column cannot have; the message is the reason of a rejected row."""


def text_of(value: Any) -> str:
    """Return a value as text without NUL characters and outer blanks; empty for a missing one."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | tuple):
        value = "|".join(map(text_of, value))
    return storable(str(value)).strip()


def storable(text: str) -> str:
    """Return a text without what PostgreSQL does not store: NUL characters, and halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def whole_text_of(value: Any) -> str:
    """Return the same for a number or id, in which 862.0 is 862."""
    text = text_of(value)
    whole = text.removesuffix(".0")
    return whole if whole.isascii() and whole.isdecimal() else text


def id_of(value: Any) -> str | None:
    """Return an id at IMDb or TMDB; None for a missing one.

    Raises:
        BadValue: it is longer than an id.
    """
    text = whole_text_of(value)
    if len(text) > MAX_ID_CHARACTERS:
        message = f"an id is longer than {MAX_ID_CHARACTERS} characters"
        raise BadValue(message)
    return text or None


def year_of(value: Any) -> int | None:
    """Return a year, of a date the year of it; None for a missing one.

    Raises:
        BadValue: it is none.
    """
    text = whole_text_of(value)
    year = text[:4] if text[4:5] == "-" else text
    if not text:
        return None
    if not (year.isascii() and year.isdecimal() and EARLIEST_YEAR <= int(year[:9]) <= LATEST_YEAR):
        message = f"the year is no number from {EARLIEST_YEAR} to {LATEST_YEAR}"
        raise BadValue(message)
    return int(year)


def minutes_of(value: Any) -> int | None:
    """Return a runtime in whole minutes; None for a missing one, and for 0.

    Raises:
        BadValue: it is none.
    """
    text = text_of(value)
    try:
        minutes = float(text or 0)
    except ValueError:
        minutes = -1.0
    if not 0 <= minutes <= MAX_MINUTES:
        message = f"the runtime is no number of minutes up to {MAX_MINUTES}"
        raise BadValue(message)
    return round(minutes) or None


def overview_of(value: Any) -> str | None:
    """Return the text about a movie; None for a missing one.

    Raises:
        BadValue: it is too long.
    """
    text = text_of(value)
    if len(text) > MAX_OVERVIEW:
        message = f"the overview is longer than {MAX_OVERVIEW:,} characters"
        raise BadValue(message)
    return text or None


def truth_of(value: Any) -> bool | None:
    """Return whether a movie is available; None where that is not given.

    Raises:
        BadValue: it is neither true nor false.
    """
    text = text_of(value).lower()
    if text and text not in TRUTHS:
        message = "available is neither true nor false"
        raise BadValue(message)
    return TRUTHS.get(text)


def is_series(value: Any) -> bool:
    """Return whether the type of an entry is a series, an episode or a game: tvSeries, TV Series, tv_series."""
    return "".join(character for character in text_of(value).lower() if character.isalpha()) in SERIES


def names_of(value: Any) -> tuple[str, ...]:
    """Return the names of a list, or of a text in which ``|`` separates them."""
    texts = map(text_of, value) if isinstance(value, list | tuple) else text_of(value).split("|")
    return tuple(name for text in texts if (name := text.strip()))


def labels_of(value: Any) -> tuple[Label, ...]:
    """Return the labels of a JSON object, given as text or read already; none for a missing one.

    Raises:
        BadValue: it is no JSON object of labels.
    """
    document = _object_of(value)
    if not isinstance(document, Mapping):
        message = "the labels are no JSON object"
        raise BadValue(message)
    return tuple(written_labels({kind: list(_sound_entries(kind, given)) for kind, given in document.items()}))


def refuse_bad_kind(kind: str) -> None:
    """Raise BadValue for a kind of labels that is none."""
    if kind == GENRE or not KIND.fullmatch(kind):
        message = "a kind of labels is no word of small letters, digits and underscores, or genre"
        raise BadValue(message)


def _object_of(value: Any) -> Any:
    """Return the JSON of a value; an empty object for a missing one."""
    if isinstance(value, Mapping):
        return {kind: given for kind, given in value.items() if given is not None}
    try:
        return json.loads(text_of(value) or "{}")
    except (ValueError, RecursionError):
        return None


def _sound_entries(kind: str, given: Any) -> Iterator[Any]:
    """Yield the labels of a kind with their times in UTC; raise BadValue for what is none."""
    refuse_bad_kind(kind)
    for entry in given if isinstance(given, list) else [given]:
        details = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(details, Mapping) or not isinstance(details.get("name"), str):
            message = "a label is neither a name nor an object with a name"
            raise BadValue(message)
        yield {"name": details["name"], "weight": _weight_of(details), "since": _since_of(details)}


def _weight_of(details: Mapping[str, Any]) -> float:
    """Return the weight of a label; 1 without one."""
    weight = details.get("weight")
    if weight is None:
        return 1.0
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 1:
        message = "the weight of a label is no number above 0, at most 1"
        raise BadValue(message)
    return float(weight)


def _since_of(details: Mapping[str, Any]) -> str | None:
    """Return the time from which a label is known, in UTC; None without one."""
    since = details.get("since")
    if since is None:
        return None
    microseconds = microseconds_of(text_of(since))
    if microseconds is None:
        message = "the time of a label is neither seconds since 1970 nor ISO 8601"
        raise BadValue(message)
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError as error:
        message = "the time of a label lies after 2100"
        raise BadValue(message) from error
