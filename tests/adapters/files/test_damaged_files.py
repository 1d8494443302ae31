"""A file that cannot be read is refused with a sentence that names it, and what it expands to has a bound."""

import gzip
import io
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from reading import HEADER, TITLED, read, read_text, reasons

from cineclub.adapters.files import lines, parquet
from cineclub.domain.errors import InvalidInput

RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{user},1,4,964982703\n" for user in range(500))


def zip_of(ratings: str = RATINGS, name: str = "ml/ratings.csv") -> bytes:
    """A zip with one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, ratings)
    return stream.getvalue()


def with_bytes(content: bytes, places: Callable[[bytes], Iterator[int]], value: int) -> bytes:
    """Content with another byte at some places."""
    data = bytearray(content)
    for place in places(content):
        data[place] = value
    return bytes(data)


def heads(offset_of_local: int, offset_of_central: int) -> Callable[[bytes], Iterator[int]]:
    """The places of a field in both heads of the member of a zip."""

    def places(content: bytes) -> Iterator[int]:
        yield content.index(b"PK\x03\x04") + offset_of_local
        yield content.index(b"PK\x01\x02") + offset_of_central

    return places


def parquet_bytes() -> bytes:
    """A small Parquet file."""
    stream = io.BytesIO()
    columns = {"user_id": [1, 2], "movie_id": [1, 2], "rating": [4.0, 5.0], "rated_at": [964982703, 964982704]}
    pyarrow.parquet.write_table(pa.table(columns), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.zip", with_bytes(zip_of(), heads(6, 8), 1), "encrypted"),
        ("a.zip", with_bytes(zip_of(), heads(8, 10), 99), "not supported"),
        ("a.zip", zip_of()[:-30], "damaged"),
        ("a.zip", with_bytes(zip_of(), lambda content: iter([len(content) // 2]), 7), "damaged"),
        ("a.zip", b"", "damaged"),
        ("a.zip", b"no archive", "damaged"),
        ("a.csv", zip_of(), "zip or a spreadsheet"),
        ("a.csv", gzip.compress(RATINGS.encode(), mtime=0), "gunzip"),
        ("a.csv.gz", gzip.compress(RATINGS.encode(), mtime=0)[:100], "no known kind"),
        ("a.csv", RATINGS.encode("utf-16"), "UTF-16"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"\xef\xbb\xbf", "empty"),
        ("a.csv", b"\n\n \n", "empty"),
        ("a.csv", bytes(range(256)), "no column"),
        ("a.csv", b"x" * (lines.LONGEST_LINE + 9), "first line of more than 1 MiB"),
        ("a.csv", b"x," * 5_000, "10,001 columns|5,001 columns"),
        ("a.tsv", b"x\t" * 5_000, "5,001 columns"),
        ("a.parquet", b"", "not a Parquet file"),
        ("a.parquet", parquet_bytes()[:-9], "not a Parquet file"),
        ("a.parquet", parquet_bytes()[:60] + parquet_bytes()[90:], "a.parquet"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """The message says what the matter is, and what to do."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=expected) as refused:
        read(path)
    assert name in str(refused.value) or "ratings.csv" in str(refused.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe is not waited for, a loop of links is none, and folders stand for files nowhere."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, expected in (("pipe.csv", "neither"), ("loop.csv", "exist|cannot be read"), ("folder.csv", "no ratings")):
        with pytest.raises(InvalidInput, match=expected):
            read(tmp_path / name)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the system is in the sentence."""
    path = tmp_path / "votes.csv"
    path.write_text(HEADER)

    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidInput, match=r"votes.csv cannot be read .Permission denied."):
        read(path)


def test_latin_1_costs_the_rows_with_such_letters_in_a_title(tmp_path: Path) -> None:
    """A title is not stored garbled: its row is reported with what to do."""
    path = tmp_path / "votes.csv"
    path.write_bytes((HEADER + "1,1,4,964982703,Amélie\n1,2,4,964982703,Heat\n").encode("latin-1"))
    imported = read(path, TITLED)
    assert [movie.title for movie in imported.movies] == ["Heat"]
    assert "UTF-8" in reasons(imported)[2]


def test_ratings_in_two_places_are_not_chosen_from(tmp_path: Path) -> None:
    """Neither of two folders is taken in silence, in a folder or in a zip."""
    for name in ("a", "b"):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "ratings.csv").write_text(RATINGS)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("a/ratings.csv", RATINGS)
        archive.writestr("b/ratings.csv", RATINGS)
    for path in (tmp_path / "both", tmp_path / "both.zip"):
        with pytest.raises(InvalidInput, match="several"):
            read(path)


def test_an_archive_expands_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small zip of very many equal rows is refused before they are all read."""
    monkeypatch.setattr(lines, "SMALL_EXPANSION", 1 << 20)
    path = tmp_path / "bomb.zip"
    path.write_bytes(zip_of("userId,movieId,rating,timestamp\n" + "1,1,4,964982703\n" * 4_000_000))
    with pytest.raises(InvalidInput, match=r"ratings.csv expands to more than"):
        read(path)


def test_a_file_of_films_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read whole is refused beyond a size."""
    monkeypatch.setattr(lines, "LARGEST_TEXT", 100)
    (tmp_path / "ratings.dat").write_text("1::1::4::964982703\n")
    (tmp_path / "movies.dat").write_text("1::Heat::Crime\n" * 50)
    with pytest.raises(InvalidInput, match=r"movies.dat is larger"):
        read(tmp_path)


def test_parquet_has_a_bound_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few bytes that stand for very many rows are refused by the number in the file."""
    monkeypatch.setattr(parquet, "SMALL_ROWS", 1_000)
    n_rows = 1_000_000
    columns = {"user_id": [1] * n_rows, "movie_id": [1] * n_rows, "rating": [4.0] * n_rows, "rated_at": [5] * n_rows}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(InvalidInput, match="1,000,000 rows"):
        read(tmp_path / "a.parquet")


def test_a_line_beyond_the_limit_costs_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported with its beginning; the lines around it are used, in whatever blocks they are read."""
    long_line = f"2,1,4,964982703,{'x' * (lines.LONGEST_LINE + 1)}\n"
    text = HEADER + "1,1,4,964982703,a\n" + long_line + "3,1,4,964982703,b\n" + long_line
    for n_bytes in (1 << 24, 1 << 16):
        monkeypatch.setattr("cineclub.adapters.files.lines.line_blocks.__defaults__", (n_bytes,))
        imported = read_text(tmp_path, text)
        assert len(imported.rows) == 2
        assert list(reasons(imported)) == [3, 5]
        assert max(len(row.content) for row in imported.rejected) <= 200


def test_quotes_that_open_again_and_again_take_no_time(tmp_path: Path) -> None:
    """The cost of quotes grows with the lines, whatever they hold: 100,000 faulty lines are read within the timeout."""
    rng = random.Random(7)  # noqa: S311 - the same lines each time
    parts = ['"', '""', '"a', 'a"', ',"', '",', "a,b", "", '1,1,4,964982703,"x']
    text = "\n".join("".join(rng.choices(parts, k=3)) for _ in range(100_000))
    imported = read_text(tmp_path, HEADER + text)
    n_lines = sum(bool(line.strip(" ")) for line in text.split("\n"))
    assert len(imported.rows) + len(imported.rejected) + len(imported.superseded) + imported.n_continued == n_lines


def test_an_archive_of_an_unknown_compression_says_to_unpack_it(tmp_path: Path) -> None:
    """A method that zipfile does not know is no damage: the person can unpack the archive."""
    content = bytearray(zip_of())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of the member, and of the directory
        method = content.index(signature) + offset
        content[method : method + 2] = (99).to_bytes(2, "little")
    path = tmp_path / "ratings.zip"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"packed in a way that is not supported .*: unpack it and import"):
        read(path)
