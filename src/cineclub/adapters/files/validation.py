"""Every row of ratings checked by set: what is valid becomes codes and numbers, the rest gets its reason."""

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cineclub.adapters.files.tables import Columns
from cineclub.domain.imported_ratings import MAX_ID_CHARACTERS, RatingRows, RejectedRow, superseded
from cineclub.domain.ratings import RatingScale

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
INTEGER = r"^[+-]?\d{1,18}$"
FIRST_DAY, LAST_DAY, MONTHS, DAYS = 19_000_000, 21_000_000, 12, 31
MICROSECONDS = 1_000_000
YEAR_2100_SECONDS = 4_102_444_800
TOO_LATE = "the time lies after 2100: it looks like milliseconds; give seconds since 1970 or an ISO 8601 time"


class RowCheck:
    """Collects faults of rows; the first fault found of a row is its reason."""

    def __init__(self, columns: Columns) -> None:
        """Start with every row sound, but for empty lines, which are no rows."""
        self._columns = columns
        self.is_sound = np.ones(len(columns.lines), np.bool_)
        if _is_empty(columns.user).any():
            fields = (columns.user, columns.movie, columns.rating, columns.rated_at)
            self.is_sound = ~np.logical_and.reduce([_is_empty(field) for field in fields])
        self.rejected = list(columns.malformed)

    def refuse(self, is_bad: NDArray[np.bool_], reason: str) -> None:
        """Refuse the rows of a mask (n,) that are sound so far."""
        for row in np.flatnonzero(is_bad & self.is_sound).tolist():
            self.rejected.append(row_of(self._columns, row, reason))
        self.is_sound &= ~is_bad


def row_of(columns: Columns, row: int, reason: str) -> RejectedRow:
    """Return a row with a reason."""
    return RejectedRow(columns.file, int(columns.lines[row]), reason, columns.content_of(row))


def checked(
    columns: Columns, scale: RatingScale
) -> tuple[RatingRows, NDArray[np.int64], list[RejectedRow], list[RejectedRow]]:
    """Return the valid ratings, the rows they came from (n_valid,), the rejected and the superseded ones."""
    check = RowCheck(columns)
    user_codes, user_ids = _ids(check, columns.user, "user")
    movie_codes, movie_ids = _ids(check, columns.movie, "film")
    ratings = _ratings(check, columns.rating, scale)
    rated_at = _times(check, columns.rated_at)
    sound = np.flatnonzero(check.is_sound)
    is_old = superseded(user_codes[sound], movie_codes[sound], rated_at[sound])
    reason = "superseded: the same user rates the same film again in this file, and the later rating counts"
    replaced = [row_of(columns, row, reason) for row in sound[is_old].tolist()]
    kept = sound[~is_old]
    rows = RatingRows(user_ids, movie_ids, user_codes[kept], movie_codes[kept], ratings[kept], rated_at[kept])
    check.rejected.sort(key=lambda row: row.line)
    return rows.compacted(), kept, check.rejected, replaced


def _is_empty(field: pa.Array) -> NDArray[np.bool_]:
    """Say of each value whether it is null or an empty text, shape (n,)."""
    is_empty = pc.is_null(field)
    if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
        is_empty = pc.or_(is_empty, pc.fill_null(pc.equal(pc.utf8_trim_whitespace(field), ""), fill_value=True))
    return np.asarray(is_empty.to_numpy(zero_copy_only=False), np.bool_)


def _text(field: pa.Array) -> pa.Array:
    """Return values as trimmed text, null as the empty text."""
    if pa.types.is_floating(field.type):  # ids that pandas widened because some were missing
        whole = pc.cast(pc.if_else(pc.is_finite(field), field, None), pa.int64(), safe=False)
        field = whole
    return pc.fill_null(pc.utf8_trim_whitespace(pc.cast(field, pa.string())), "")


def _ids(check: RowCheck, field: pa.Array, whose: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return the codes (n,) of external ids and the ids."""
    encoded = pc.dictionary_encode(field)
    trimmed = _text(encoded.dictionary)
    if encoded.null_count or len(pc.unique(trimmed)) < len(trimmed):  # two ways to write one id
        encoded = pc.dictionary_encode(_text(field))
        trimmed = encoded.dictionary
    ids = tuple(trimmed.to_pylist())
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    check.refuse((lengths == 0)[codes], f"the {whose} id is missing")
    check.refuse((lengths > MAX_ID_CHARACTERS)[codes], f"the {whose} id is longer than {MAX_ID_CHARACTERS} characters")
    is_garbled = np.fromiter(("\ufffd" in name for name in ids), np.bool_, len(ids))
    check.refuse(is_garbled[codes], f"the {whose} id is not UTF-8")
    holds_nul = np.fromiter(("\0" in name for name in ids), np.bool_, len(ids))
    check.refuse(holds_nul[codes], f"the {whose} id holds a NUL character")
    return codes, ids


def _numbers(field: pa.Array, pattern: str, kind: pa.DataType) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the numbers of text (n,), zero where the text does not match, and where it does."""
    matches = pc.match_substring_regex(field, pattern)
    numbers = pc.fill_null(pc.cast(pc.if_else(matches, field, None), kind), 0)
    return numbers.to_numpy(zero_copy_only=False), np.asarray(matches.to_numpy(zero_copy_only=False), np.bool_)


def _ratings(check: RowCheck, field: pa.Array, scale: RatingScale) -> NDArray[np.float32]:
    """Return the ratings, shape (n,)."""
    if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
        numbers = pc.fill_null(pc.cast(field, pa.float64()), np.nan).to_numpy(zero_copy_only=False)
        check.refuse(~np.isfinite(numbers), "the rating is missing or not finite")
    else:
        numbers = _ratings_of_text(check, field)
    ratings: NDArray[np.float32] = numbers.astype(np.float32)
    check.refuse(~scale.holds(ratings), f"the rating is off the scale {scale.lowest:g} to {scale.highest:g}")
    return ratings


def _ratings_of_text(check: RowCheck, field: pa.Array) -> NDArray[np.generic]:
    """Return the ratings written as text, shape (n,); where all are numbers one cast does it."""
    numbers = _cast_whole(field, pa.float64())
    if numbers is None:
        text = _text(field)
        check.refuse(_is_empty(text), "the rating is missing")
        is_not_finite = np.asarray(pc.match_substring_regex(text, NOT_FINITE).to_numpy(zero_copy_only=False), np.bool_)
        check.refuse(is_not_finite, "the rating is not finite")
        numbers, is_number = _numbers(text, NUMBER, pa.float64())
        check.refuse(~is_number, "the rating is not a number")
    check.refuse(~np.isfinite(numbers.astype(np.float64)), "the rating is not finite")
    return numbers


def _cast_whole(field: pa.Array, kind: pa.DataType) -> NDArray[np.generic] | None:
    """Return a column of text as numbers, shape (n,); None where any of it is none."""
    try:
        numbers = pc.cast(field, kind)
    except pa.ArrowInvalid:
        return None
    return None if numbers.null_count else numbers.to_numpy(zero_copy_only=False)


def _times(check: RowCheck, field: pa.Array) -> NDArray[np.int64]:
    """Return the times in microseconds since 1970-01-01 UTC, shape (n,)."""
    if pa.types.is_timestamp(field.type):
        moments = pc.cast(field, pa.timestamp("us"), safe=False) if field.type.tz is None else field
        microseconds = pc.cast(pc.cast(moments, pa.timestamp("us", "UTC"), safe=False), pa.int64())
        check.refuse(_is_empty(field), "the time is missing")
        times: NDArray[np.int64] = pc.fill_null(microseconds, 0).to_numpy(zero_copy_only=False)
    else:
        seconds = _cast_whole(field, pa.int64())
        times = _times_of_text(check, _text(field)) if seconds is None else _times_of_seconds(check, seconds)
    check.refuse(times < 0, "the time lies before 1970")
    seconds = times // MICROSECONDS
    check.refuse(
        seconds >= YEAR_2100_SECONDS,
        TOO_LATE,
    )
    return times


def _times_of_seconds(check: RowCheck, numbers: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the times of whole seconds since 1970, shape (n,); those beyond what fits are as late as can be."""
    seconds = numbers.astype(np.int64)
    month, day = seconds // 100 % 100, seconds % 100
    is_day = (
        (seconds >= FIRST_DAY) & (seconds < LAST_DAY) & (month >= 1) & (month <= MONTHS) & (day >= 1) & (day <= DAYS)
    )
    is_year = (seconds >= FIRST_DAY // 10_000) & (seconds < LAST_DAY // 10_000)
    check.refuse(is_day | is_year, "the time looks like a date without hyphens: write 2024-05-01")
    beyond = np.abs(seconds) > np.iinfo(np.int64).max // MICROSECONDS
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
    for row in np.flatnonzero(~is_integer & check.is_sound).tolist():
        moment = microseconds_of(text[row].as_py())
        if moment is not None:
            times[row], is_known[row] = moment, True
    check.refuse(~is_known, "the time is neither seconds since 1970 nor ISO 8601")
    return times


def microseconds_of(text: str) -> int | None:
    """Return the microseconds since 1970 of one time; without a zone it is UTC; None where it is none."""
    if re.fullmatch(r"[+-]?\d{1,12}(\.\d+)?([eE][+]?\d{1,2})?", text) and float(text) < YEAR_2100_SECONDS * 1000:
        return round(float(text) * MICROSECONDS)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds
