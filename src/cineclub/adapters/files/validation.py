"""Checks of rows of ratings by column, block by block: valid rows become codes and numbers, the others get a reason."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cineclub.adapters.files.rejecting import RowCheck
from cineclub.adapters.files.tables import Columns
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import MAX_ID_CHARACTERS, OffScale
from cineclub.domain.ratings.log import RatingScale
from cineclub.domain.ratings.spelled_ids import LARGEST_EXACT

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
INTEGER = r"^[+-]?\d{1,18}$"
FIRST_DAY, LAST_DAY, MONTHS, DAYS = 19_000_000, 21_000_000, 12, 31
MICROSECONDS = 1_000_000
UNITS = {"s": 1, "ms": 1_000, "us": MICROSECONDS, "ns": 1_000_000_000}
YEAR_2100_SECONDS = 4_102_444_800
TOO_LATE = "the time lies after 2100: it looks like milliseconds; give seconds since 1970 or an ISO 8601 time"


@dataclass(frozen=True, slots=True)
class ValidRows:
    """The valid rows of a block, with ids by the codes of ``IdColumn``.

    Attributes:
        rows: (n,) their positions in the block.
        user_codes, movie_codes, ratings, rated_at, lines: (n,) their values.
    """

    rows: NDArray[np.int64]
    user_codes: NDArray[np.int32]
    movie_codes: NDArray[np.int32]
    ratings: NDArray[np.float32]
    rated_at: NDArray[np.int64]
    lines: NDArray[np.uint32]


class IdColumn:
    """The spellings of the ids of a column so far, trimmed, each with a code."""

    def __init__(self, whose: str) -> None:
        """Start without ids."""
        self.whose = whose
        self._codes: dict[str, int] = {}
        self._trimmed: set[str] = set()

    @property
    def spellings(self) -> tuple[str, ...]:
        """The spellings by code."""
        return tuple(self._codes)

    @property
    def n_trimmed(self) -> int:
        """The number of spellings with blanks around them."""
        return len(self._trimmed)

    def codes_of(self, check: RowCheck, field: pa.Array) -> NDArray[np.int32]:
        """Return the codes (n,) of the ids of a block, and refuse the rows whose id is none."""
        with _explained(f"{self.whose} ids", field):
            encoded = pc.dictionary_encode(_id_texts(check, field, self.whose), null_encoding="encode")
            spelled = [text or "" for text in encoded.dictionary.to_pylist()]
        names = [text.strip() for text in spelled]
        places = encoded.indices.to_numpy(zero_copy_only=False)
        for reason, is_bad in _id_faults(names, self.whose):
            if is_bad.any():
                check.refuse(is_bad[places], reason)
                names = ["" if bad else name for name, bad in zip(names, is_bad.tolist(), strict=True)]
        self._trimmed.update(text for text, name in zip(spelled, names, strict=True) if name not in {"", text})
        codes = np.array([self._codes.setdefault(name, len(self._codes)) for name in names], np.int32)
        return codes[places] if names else np.empty(0, np.int32)


class RatingsSpan:
    """The lowest and highest of all numbers so far, and how many lie off the scale."""

    def __init__(self) -> None:
        """Start without numbers."""
        self._n_off = 0
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, ratings: NDArray[np.float32], is_off: NDArray[np.bool_]) -> None:
        """Count finite ratings (n,), with a mask of those off the scale."""
        if len(ratings):
            self._n_off += int(is_off.sum())
            self._lowest = min(self._lowest, float(ratings.min()))
            self._highest = max(self._highest, float(ratings.max()))

    def off_scale(self) -> OffScale:
        """Return what was counted."""
        return OffScale(self._n_off, self._lowest, self._highest) if self._n_off else OffScale()


class BlockChecks:
    """Checks blocks of one file."""

    def __init__(self, scale: RatingScale) -> None:
        """Check against a scale."""
        self.users, self.movies = IdColumn("user"), IdColumn("film")
        self.span = RatingsSpan()
        self._scale = scale

    def valid_rows(self, columns: Columns, check: RowCheck) -> ValidRows:
        """Return the valid rows of a block; ``check`` takes the others.

        Raises:
            InvalidInput: a column holds another kind of values than ids, ratings or times.
        """
        users = self.users.codes_of(check, columns.user)
        movies = self.movies.codes_of(check, columns.movie)
        refuse_garbled(check, columns)
        with _explained("ratings", columns.rating):
            ratings = self._ratings(check, columns.rating)
        with _explained("times", columns.rated_at):
            rated_at = times_of(check, columns.rated_at)
        rows = np.flatnonzero(check.is_valid)
        lines = columns.lines[rows].astype(np.uint32)
        return ValidRows(rows, users[rows], movies[rows], ratings[rows], rated_at[rows], lines)

    def _ratings(self, check: RowCheck, field: pa.Array) -> NDArray[np.float32]:
        """Return the ratings, shape (n,)."""
        kind = field.type
        if pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            message = f"a column of {kind} holds no ratings"
            raise pa.ArrowTypeError(message)
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
            numbers = pc.fill_null(pc.cast(field, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
            check.refuse(~np.isfinite(numbers), "the rating is missing or not finite")
        else:
            numbers = _ratings_of_text(check, field)
        with np.errstate(over="ignore"):  # beyond the largest number of 32 bits is off every scale
            ratings: NDArray[np.float32] = numbers.astype(np.float32)
        is_off = ~self._scale.holds(ratings)
        self.span.add(ratings[check.is_valid], (is_off & check.is_valid)[check.is_valid])
        check.refuse(is_off, f"the rating is off the scale {self._scale.lowest:g} to {self._scale.highest:g}")
        return ratings


def refuse_garbled(check: RowCheck, columns: Columns) -> None:
    """Refuse the rows in whose further columns other bytes than UTF-8 were replaced."""
    for field in columns.others.values() if columns.is_repaired else ():
        if pa.types.is_string(field.type):
            is_garbled = pc.match_substring(_text(field), "\ufffd")
            check.refuse(_mask(is_garbled), "the row is not UTF-8: save the file as UTF-8")


@contextmanager
def _explained(values: str, field: pa.Array) -> Iterator[None]:
    """Raise InvalidInput where a column has a type that its values cannot have."""
    try:
        yield
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"the column of {values} holds values of the type {field.type}: write them as text or numbers"
        raise InvalidInput(message) from error


def _mask(values: pa.Array) -> NDArray[np.bool_]:
    """Return an array of truth values, null as false, as a mask (n,)."""
    return np.asarray(pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False), np.bool_)


def _is_empty(field: pa.Array) -> NDArray[np.bool_]:
    """Return a mask of the values that are null or empty text, shape (n,)."""
    is_empty = pc.is_null(field)
    if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
        is_empty = pc.or_(is_empty, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(field), ""), fill_value=True))
    return np.asarray(is_empty.to_numpy(zero_copy_only=False), np.bool_)


def _id_texts(check: RowCheck, field: pa.Array, whose: str) -> pa.Array:
    """Return ids as text; numbers with a fraction are whole numbers that a program widened, or refused."""
    kind = field.type
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        message = f"a column of {kind} holds no ids"
        raise pa.ArrowTypeError(message)
    if pa.types.is_decimal(kind):
        whole = pc.equal(pc.floor(field), field)
        check.refuse(~_mask(pc.fill_null(whole, fill_value=True)), f"the {whose} id is no whole number")
        return pc.cast(pc.cast(pc.if_else(whole, field, None), pa.decimal128(38, 0)), pa.string())
    if pa.types.is_floating(kind):
        numbers = pc.cast(field, pa.float64())
        values = pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)
        check.refuse(np.isnan(values), f"the {whose} id is missing")
        with np.errstate(invalid="ignore"):
            is_whole = (np.floor(values) == values) & (np.abs(values) <= LARGEST_EXACT)
        check.refuse(~is_whole, f"the {whose} id is no whole number, or too large to be exact")
        return pc.cast(pc.cast(pc.if_else(pa.array(is_whole), numbers, None), pa.int64()), pa.string())
    return pc.cast(field, pa.string())


def _id_faults(names: list[str], whose: str) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each reason why an id is none, with a mask of the names (n,) that it holds for."""
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    yield f"the {whose} id is missing", lengths == 0
    yield f"the {whose} id is longer than {MAX_ID_CHARACTERS} characters", lengths > MAX_ID_CHARACTERS
    is_garbled = np.fromiter(("\ufffd" in name for name in names), np.bool_, len(names))
    yield f"the {whose} id is not UTF-8", is_garbled
    holds_nul = np.fromiter(("\0" in name for name in names), np.bool_, len(names))
    yield f"the {whose} id holds a NUL character", holds_nul


def _text(field: pa.Array) -> pa.Array:
    """Return values as trimmed text, and null as empty text."""
    return pc.fill_null(pc.utf8_trim_whitespace(pc.cast(field, pa.string())), "")


def _numbers(field: pa.Array, pattern: str, kind: pa.DataType) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the numbers of text (n,), zero where the text does not match, and a mask of matches (n,)."""
    matches = pc.match_substring_regex(field, pattern)
    unsigned = pc.replace_substring_regex(pc.if_else(matches, field, None), r"^\+", "")
    numbers = pc.fill_null(pc.cast(unsigned, kind), 0)
    return numbers.to_numpy(zero_copy_only=False), np.asarray(matches.to_numpy(zero_copy_only=False), np.bool_)


def _ratings_of_text(check: RowCheck, field: pa.Array) -> NDArray[np.generic]:
    """Return the ratings of a column of text, shape (n,)."""
    numbers = _cast_all(field, pa.float64())
    if numbers is None:
        text = _text(field)
        check.refuse(_is_empty(text), "the rating is missing")
        is_not_finite = np.asarray(pc.match_substring_regex(text, NOT_FINITE).to_numpy(zero_copy_only=False), np.bool_)
        check.refuse(is_not_finite, "the rating is not finite")
        numbers, is_number = _numbers(text, NUMBER, pa.float64())
        check.refuse(~is_number, "the rating is not a number")
    check.refuse(~np.isfinite(numbers.astype(np.float64)), "the rating is not finite")
    return numbers


def _cast_all(field: pa.Array, kind: pa.DataType) -> NDArray[np.generic] | None:
    """Return a column of text as numbers, shape (n,); None unless all are numbers."""
    try:
        numbers = pc.cast(field, kind)
    except pa.ArrowInvalid:
        return None
    return None if numbers.null_count else numbers.to_numpy(zero_copy_only=False)


def times_of(check: RowCheck, field: pa.Array) -> NDArray[np.int64]:
    """Return the times in microseconds since 1970-01-01 UTC, shape (n,)."""
    if pa.types.is_boolean(field.type) or pa.types.is_time(field.type) or pa.types.is_duration(field.type):
        message = f"a column of {field.type} holds no times"
        raise pa.ArrowTypeError(message)
    if pa.types.is_date(field.type):
        field = pc.cast(field, pa.timestamp("ms"))
    if pa.types.is_timestamp(field.type):
        times = _times_of_moments(check, field)
    else:
        seconds = None if pa.types.is_string(field.type) and _holds_hexadecimal(field) else _cast_all(field, pa.int64())
        times = _times_of_text(check, _text(field)) if seconds is None else _times_of_seconds(check, seconds)
    check.refuse(times < 0, "the time lies before 1970")
    check.refuse(times // MICROSECONDS >= YEAR_2100_SECONDS, TOO_LATE)
    return times


def _holds_hexadecimal(field: pa.Array) -> bool:
    """Return whether a text holds an x, as 0x10 does, which a cast would read as 16."""
    return bool(pc.any(pc.match_substring(field, "x", ignore_case=True)).as_py())


def _times_of_moments(check: RowCheck, field: pa.Array) -> NDArray[np.int64]:
    """Return the times of a column of moments, UTC without a zone, clipped to the years that are valid."""
    check.refuse(_mask(pc.is_null(field)), "the time is missing")
    units = UNITS[field.type.unit]
    values = pc.fill_null(field.view(pa.int64()), 0).to_numpy(zero_copy_only=False)
    moments: NDArray[np.int64] = np.clip(values, -units, YEAR_2100_SECONDS * units)
    return moments * (MICROSECONDS // units) if units <= MICROSECONDS else moments // (units // MICROSECONDS)


def _times_of_seconds(check: RowCheck, numbers: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the times of whole seconds since 1970, shape (n,), clipped to the largest int64."""
    seconds = numbers.astype(np.int64)
    month, day = seconds // 100 % 100, seconds % 100
    is_day = (
        (seconds >= FIRST_DAY) & (seconds < LAST_DAY) & (month >= 1) & (month <= MONTHS) & (day >= 1) & (day <= DAYS)
    )
    is_year = (seconds >= FIRST_DAY // 10_000) & (seconds < LAST_DAY // 10_000)
    check.refuse(is_day | is_year, "the time looks like a date without hyphens: write 2024-05-01")
    largest = np.iinfo(np.int64).max // MICROSECONDS
    beyond = (seconds > largest) | (seconds < -largest)
    return np.where(beyond, np.iinfo(np.int64).max, np.where(beyond, 0, seconds) * MICROSECONDS)


def _times_of_text(check: RowCheck, text: pa.Array) -> NDArray[np.int64]:
    """Return the times of seconds since 1970, with or without a fraction, or of ISO 8601."""
    check.refuse(_is_empty(text), "the time is missing")
    numbers, is_integer = _numbers(text, INTEGER, pa.int64())
    seconds = numbers.astype(np.int64)
    too_long = pc.match_substring_regex(text, r"^[+-]?\d{19,}$").to_numpy(zero_copy_only=False)
    check.refuse(np.asarray(too_long, np.bool_), TOO_LATE)
    times = _times_of_seconds(check, seconds)
    is_known = is_integer.copy()
    for row in np.flatnonzero(~is_integer & check.is_valid).tolist():
        moment = microseconds_of(text[row].as_py())
        if moment is not None:
            times[row], is_known[row] = moment, True
    check.refuse(~is_known, "the time is neither seconds since 1970 nor ISO 8601")
    return times


def microseconds_of(text: str) -> int | None:
    """Return the microseconds since 1970 of one time, UTC without a zone; None if it is not a time."""
    if re.fullmatch(r"[+-]?\d{1,12}(\.\d+)?([eE][+]?\d{1,2})?", text) and float(text) < YEAR_2100_SECONDS * 1000:
        return round(float(text) * MICROSECONDS)
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds
