"""Due times of cron lines of five fields."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cineclub.domain.errors import InvalidInput
from cineclub.domain.training.schedule import newest_due

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "due"),
    [
        ("0 12 * * *", NOON),
        ("1 12 * * *", NOON - timedelta(hours=23, minutes=59)),
        ("*/15 * * * *", NOON),
        ("0 4 * * sun", datetime(2026, 3, 1, 4, tzinfo=UTC)),
        ("30 4 1 1 *", datetime(2026, 1, 1, 4, 30, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_the_newest_due_time_is_at_most_now(line: str, due: datetime) -> None:
    """A line that is due now has the due time now."""
    assert newest_due(line, NOON) == due


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - made aware
def test_a_due_time_lies_within_one_period(now: datetime) -> None:
    """A due time is never in the future or older than the period."""
    due = newest_due("17 * * * *", now)
    assert due is not None
    assert timedelta(0) <= now - due < timedelta(hours=1)


@pytest.mark.parametrize(
    "line", ["", "hourly", "@daily", "* * * *", "0 0 4 * * *", "60 4 * * *", "0 24 * * *", "0 0 31 2 *", "a b c d e"]
)
def test_what_is_no_schedule_is_refused(line: str) -> None:
    """The message shows a valid schedule; seconds are not allowed."""
    with pytest.raises(InvalidInput, match=r"0 4 \* \* \*"):
        newest_due(line, NOON)
