"""An id of a file never becomes another one without a word."""

import decimal
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from reading import n_rows, pairs, read, read_text, reasons

from cineclub.domain.errors import InvalidInput

PLAIN_HEADER = "user_id,movie_id,rating,rated_at\n"


def read_ids(folder: Path, *ids: str) -> Any:
    """Read a CSV with a row for each film id."""
    text = "".join(f"1,{movie_id},4,964982703\n" for movie_id in ids)
    return read_text(folder, PLAIN_HEADER + text, None)


def read_column(folder: Path, column: pa.Array, name: str = "movie_id") -> Any:
    """Read a Parquet file with this column."""
    rows = range(len(column))
    columns = {"user_id": [str(row) for row in rows], "movie_id": ["7"] * len(column), "rating": [4.0] * len(column)}
    table = pa.table({**columns, "rated_at": [964982703] * len(column), name: column})
    path = folder / "votes.parquet"
    pyarrow.parquet.write_table(table, path)
    return read(path)


def test_whole_numbers_with_a_fraction_of_zero_are_whole_numbers(tmp_path: Path) -> None:
    """A column that a program widened gives the ids that it had, and the report counts them."""
    imported = read_ids(tmp_path, "1.0", "2.0", "30")
    assert pairs(imported) == {("1", "1"), ("1", "2"), ("1", "30")}
    assert imported.n_respelled == 2


@pytest.mark.parametrize("odd", ["1.5", "1e3", "1.00E+08", "nan", "NULL", "inf", "9007199254740994.0", "1e400", "True"])
def test_what_is_no_whole_number_among_numbers_is_reported(tmp_path: Path, odd: str) -> None:
    """Among numbers neither fractions, nor rounded numbers, nor words for a missing value are ids."""
    imported = read_ids(tmp_path, "1", "2", "3", odd)
    assert pairs(imported) == {("1", "1"), ("1", "2"), ("1", "3")}
    assert list(reasons(imported)) == [5]


def test_ids_of_text_stay_as_they_are(tmp_path: Path) -> None:
    """Leading zeros, long numbers, and numbers with a fraction among text are ids of their own."""
    imported = read_ids(tmp_path, "01", "1", "0068646", "9" * 30)
    assert {movie for _, movie in pairs(imported)} == {"01", "1", "0068646", "9" * 30}
    versions = read_ids(tmp_path, "heat", "ronin", "alien", "1.0", "nan")
    assert {movie for _, movie in pairs(versions)} == {"heat", "ronin", "alien", "1.0", "nan"}


def test_blanks_around_an_id_are_no_part_of_it_and_are_counted(tmp_path: Path) -> None:
    """The id is the same with and without blanks; the report counts such spellings."""
    imported = read_ids(tmp_path, " 1", "2 ", "3")
    assert {movie for _, movie in pairs(imported)} == {"1", "2", "3"}
    assert imported.n_respelled == 2


def test_fractions_in_parquet_are_not_cut_off(tmp_path: Path) -> None:
    """1.5 does not become 1; nor are missing, infinite or inexact ids used. Whole numbers lose the fraction."""
    numbers = pa.array([1.0, 1.5, None, float("nan"), float("inf"), 2.0**60, 3.0])
    imported = read_column(tmp_path, numbers)
    assert {movie for _, movie in pairs(imported)} == {"1", "3"}
    assert list(reasons(imported)) == [2, 3, 4, 5, 6]
    users = read_column(tmp_path, numbers, "user_id")
    assert {user for user, _ in pairs(users)} == {"1", "3"}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2**63], pa.uint64()), {"1", str(2**63)}),
        (pa.array([decimal.Decimal("1.00"), decimal.Decimal("1.50")]), {"1"}),
        (pa.array(["a", "b"]).dictionary_encode(), {"a", "b"}),
        (pa.array([b"a", b"\xff"]), {"a"}),
        (pa.array(["1.0", "2"], pa.large_string()), {"1", "2"}),
        (pa.array([1.0, 2.5], pa.float16()), {"1"}),
    ],
    ids=["uint64", "decimal", "dictionary", "binary", "large text", "float16"],
)
def test_ids_of_every_type_of_parquet_are_whole_or_reported(
    tmp_path: Path, column: pa.Array, expected: set[str]
) -> None:
    """Each row is used with the id that it has, or reported."""
    imported = read_column(tmp_path, column)
    assert {movie for _, movie in pairs(imported)} == expected
    assert n_rows(imported) == 2


@pytest.mark.parametrize("name", ["user_id", "movie_id", "rating", "rated_at"])
@pytest.mark.parametrize(
    "column", [pa.array([True, False]), pa.array([[1], [2]]), pa.array([{"a": 1}] * 2)], ids=["bool", "list", "struct"]
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, name: str, column: pa.Array) -> None:
    """True is neither an id nor a rating nor a time; the message names the type."""
    with pytest.raises(InvalidInput, match="holds values of the type"):
        read_column(tmp_path, column, name)


def test_moments_beyond_the_years_of_python_are_reported(tmp_path: Path) -> None:
    """A time that wraps around when it is converted is refused, and shown in the rejects."""
    column = pa.array([2**62, 964982703_000_000], pa.timestamp("us"))
    imported = read_column(tmp_path, column, "rated_at")
    assert list(reasons(imported)) == [1]
    assert str(2**62) in imported.rejected[0].content


def test_dates_and_epochs_of_parquet_are_read(tmp_path: Path) -> None:
    """Dates are midnight; unsigned and fractional seconds are seconds."""
    for column in (
        pa.array([date(2000, 7, 30)]),
        pa.array([964915200], pa.uint64()),
        pa.array([964915200.0]),
        pa.array([964915200_000_000_000], pa.timestamp("ns", "Europe/Berlin")),
    ):
        imported = read_column(tmp_path, column, "rated_at")
        assert imported.rows.rated_at.tolist() == [964915200_000_000]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    """Which of two ratings counts is for a person to decide."""
    with pytest.raises(InvalidInput, match="several columns rating"):
        read_text(tmp_path, "user_id,movie_id,rating,rated_at,rating\n1,1,4,964982703,5\n", None)


def test_a_hexadecimal_number_is_no_time(tmp_path: Path) -> None:
    """0x10 is no number of seconds."""
    imported = read_text(tmp_path, PLAIN_HEADER + "1,1,4,0x3984440F\n1,2,+4,+964982703\n", None)
    assert pairs(imported) == {("1", "2")}
    assert list(reasons(imported)) == [2]
