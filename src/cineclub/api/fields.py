"""The types of the fields of requests; each refuses every invalid value with one message."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cineclub.domain.ratings.labels import GENRE, KIND, MAX_NAME_CHARACTERS

MAX_ID_LENGTH = 256
MAX_TOP_N = 100
EARLIEST_YEAR, LATEST_YEAR = 1800, 2200
MAX_GENRE_LENGTH = 100
MAX_MINUTES = 100_000
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1
LARGEST_FLOAT = 3.4e38
"""Ratings are stored in single precision."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_TOLERANCE = timedelta(days=1)
AN_ID = f"must be text of 1 to {MAX_ID_LENGTH} characters or an integer of 64 bits"
A_TOP_N = f"must be an integer from 1 to {MAX_TOP_N}"
A_RATING = "must be a finite number on the scale of the catalogue"
STORABLE_TEXT = "must be text without NUL characters and lone surrogates"
REFUSED: Literal["refused"] = "refused"
A_YEAR = f"must be an integer from {EARLIEST_YEAR} to {LATEST_YEAR}"
A_RUNTIME = f"must be an integer from 1 to {MAX_MINUTES}"
A_KIND = "a kind of labels is 1 to 30 small letters, digits and underscores, beginning with a letter"
A_SHARE = "must be a number from 0 to 1"
A_TIME = "must be a time in ISO 8601 with its offset, for example 2026-05-01T20:15:00Z, from 1970 until now"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One message for all values that a type refuses."""

    message: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the type with this message in place of pydantic's."""
        return core_schema.custom_error_schema(handler(source), REFUSED, custom_error_message=self.message)


@dataclass(frozen=True, slots=True)
class FirstErrorAlone:
    """Validation of a list that ends at the first invalid item."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the list; pydantic's own annotation cannot be part of a union."""
        return cast("CoreSchema", {**handler(source), "fail_fast": True})


def checked_id(value: Any) -> int | str:
    """Return a valid id as it was sent; text that PostgreSQL cannot store is refused."""
    if isinstance(value, int) and not isinstance(value, bool) and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return value
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_LENGTH:
        raise PydanticCustomError(REFUSED, AN_ID)
    return storable(value)


def storable(text: str) -> str:
    """Return a text that PostgreSQL can store; others, with NUL or lone surrogates, are refused."""
    if "\0" in text or not _is_unicode(text):
        raise PydanticCustomError(REFUSED, STORABLE_TEXT)
    return text


def _is_unicode(text: str) -> bool:
    """Return whether a text can be encoded: it has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked_time(value: Any) -> datetime | None:
    """Return a valid time of a rating in UTC, or None. JSON gives text; Python may give a ``datetime``."""
    if value is None:
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise PydanticCustomError(REFUSED, A_TIME) from None
    if time.tzinfo is None or not EARLIEST <= time <= datetime.now(UTC) + CLOCK_TOLERANCE:
        raise PydanticCustomError(REFUSED, A_TIME)
    return time.astimezone(UTC)  # PostgreSQL refuses offsets of 16 hours and more


_ID_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
        {"type": "integer", "minimum": SMALLEST_INTEGER, "maximum": LARGEST_INTEGER},
    ]
}
Text = Annotated[str, AfterValidator(storable)]
"""The type of every text of a request that is no id: of bodies, queries and paths."""

ExternalId = Annotated[int | str, PlainValidator(checked_id), WithJsonSchema(_ID_SCHEMA)]
ExternalIds = Annotated[list[ExternalId], FirstErrorAlone()]
"""Ids of which a refusal names the first invalid one: each would cost some microseconds, and there may be 10,000."""
TopN = Annotated[int, Field(strict=True, ge=1, le=MAX_TOP_N), Refusal(A_TOP_N)]
RatingValue = Annotated[
    float,
    Field(strict=True, ge=-LARGEST_FLOAT, le=LARGEST_FLOAT, allow_inf_nan=False),
    Refusal(A_RATING),
    WithJsonSchema({"type": "number"}),  # the flow checks the scale of the catalogue
]
RatedAt = Annotated[
    datetime | None,
    PlainValidator(_checked_time),
    PlainSerializer(lambda time: time and time.isoformat()),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
Year = Annotated[int, Field(strict=True, ge=EARLIEST_YEAR, le=LATEST_YEAR), Refusal(A_YEAR)]
Share = Annotated[float, Field(strict=True, ge=0, le=1), Refusal(A_SHARE)]
Genre = Annotated[Text, StringConstraints(strict=True, min_length=1, max_length=MAX_GENRE_LENGTH)]

LabelName = Annotated[Text, StringConstraints(strict=True, min_length=1, max_length=MAX_NAME_CHARACTERS)]
Runtime = Annotated[int, Field(strict=True, ge=1, le=MAX_MINUTES), Refusal(A_RUNTIME)]


def checked_kind(kind: str) -> str:
    """Return a valid kind of labels; others are refused, and genre, of which the genres are."""
    if kind == GENRE:
        raise PydanticCustomError(REFUSED, "give genres as genres")
    if not KIND.fullmatch(kind):
        raise PydanticCustomError(REFUSED, A_KIND)
    return kind


Kind = Annotated[
    str, AfterValidator(checked_kind), WithJsonSchema({"type": "string", "pattern": f"^(?!{GENRE}$){KIND.pattern}$"})
]


class Request(BaseModel):
    """The base of all request bodies; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
