"""The fields of requests: what each may be, said in one sentence when it is not."""

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_ID_LENGTH = 256
MAX_TOP_N = 100
EARLIEST_YEAR, LATEST_YEAR = 1800, 2200
MAX_GENRE_LENGTH = 100
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_TOLERANCE = timedelta(days=1)
AN_ID = f"must be text of 1 to {MAX_ID_LENGTH} characters or an integer of 64 bits"
A_TOP_N = f"must be an integer from 1 to {MAX_TOP_N}"
A_RATING = "must be a finite number on the scale of the catalogue"
STORABLE_TEXT = "must be text without NUL characters and lone surrogates"
REFUSED: Literal["refused"] = "refused"
A_YEAR = f"must be an integer from {EARLIEST_YEAR} to {LATEST_YEAR}"
A_SHARE = "must be a number from 0 to 1"
A_TIME = "must be a time in ISO 8601 with its offset, for example 2026-05-01T20:15:00Z, from 1970 until now"


def checked_id(value: Any) -> int | str:
    """Return an id as it was sent; text that no UTF-8 database can hold (NUL, lone surrogates) is refused."""
    if isinstance(value, int) and not isinstance(value, bool) and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_LENGTH:
        raise PydanticCustomError(REFUSED, AN_ID)
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError(REFUSED, STORABLE_TEXT)
    return value


def _checked_top_n(value: Any) -> int:
    """Return how many films are wanted."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_TOP_N:
        raise PydanticCustomError(REFUSED, A_TOP_N)
    return value


def _checked_rating(value: Any) -> float:
    """Return a rating; the scale of the catalogue is checked where it is known."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_single_precision(value):
        raise PydanticCustomError(REFUSED, A_RATING)
    return float(value)


def _is_single_precision(value: float) -> bool:
    """Say whether a number is finite, also as the database keeps it."""
    largest = 3.4e38
    return -largest <= value <= largest and math.isfinite(value)


def _checked_time(value: Any) -> datetime | None:
    """Return when a rating was given; None when the request does not say. JSON gives text, Python also a time."""
    if value is None:
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError(REFUSED, A_TIME) from None
    if time.tzinfo is None or not EARLIEST <= time <= datetime.now(UTC) + CLOCK_TOLERANCE:
        raise PydanticCustomError(REFUSED, A_TIME)
    return time


def _checked_year(value: Any) -> int:
    """Return a year."""
    if isinstance(value, bool) or not isinstance(value, int) or not EARLIEST_YEAR <= value <= LATEST_YEAR:
        raise PydanticCustomError(REFUSED, A_YEAR)
    return value


def _checked_share(value: Any) -> float:
    """Return a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PydanticCustomError(REFUSED, A_SHARE)
    return float(value)


_ID_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
        {"type": "integer", "minimum": SMALLEST_INTEGER, "maximum": LARGEST_INTEGER},
    ]
}
ExternalId = Annotated[int | str, PlainValidator(checked_id), WithJsonSchema(_ID_SCHEMA)]
TopN = Annotated[
    int, PlainValidator(_checked_top_n), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_TOP_N})
]
RatingValue = Annotated[float, PlainValidator(_checked_rating), WithJsonSchema({"type": "number"})]
RatedAt = Annotated[
    datetime | None,
    PlainValidator(_checked_time),
    PlainSerializer(lambda time: time and time.isoformat()),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
Year = Annotated[
    int,
    PlainValidator(_checked_year),
    WithJsonSchema({"type": "integer", "minimum": EARLIEST_YEAR, "maximum": LATEST_YEAR}),
]
Share = Annotated[float, PlainValidator(_checked_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
Genre = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_GENRE_LENGTH)]
