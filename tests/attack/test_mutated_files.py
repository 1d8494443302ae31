"""Mutated import files: every row is used or reported, each time; nothing else than InvalidInput is raised.

A row is a line of the file that is not blank, the header aside; lines end with LF, CR LF or CR. Each row is exactly one
of: a rating, a rejected row, a superseded one, or a line that goes on with the quoted field of the line above. The
lines are counted here from the bytes alone. A row that is valid by itself is never lost to a quote around it, and no
rating has ids that its line does not have.
"""

import csv
import gzip
import io
import random
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from cineclub.adapters.files import open_source
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import ColumnMapping, ImportedRatings
from cineclub.domain.ratings.log import RatingScale

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900)]

STARS = RatingScale(0.5, 5.0)
N_FILES = 5_000
N_ROWS = 60
INTACT_SHARE = 0.5
"""So many archives stay as they are, with mutated files or bad values inside: most other mutations are found."""

Random = random.Random
Mutation = Callable[[bytearray, Random], None]
HEADER = ["userId", "movieId", "rating", "timestamp"]
CERTAIN = re.compile(
    rb"(?P<user>[1-9]\d{0,5})(?P<delimiter>,|\t|::)(?P<movie>[1-9]\d{0,5})(?P=delimiter)"
    rb"(?P<rating>[1-4](?:\.[05])?)(?P=delimiter)(?P<time>[1-9]\d{8})(?P<title>,[^,\"\x80-\xff]*)?"
)
"""A row that is valid by itself, whatever surrounds it."""


@dataclass(frozen=True)
class Format:
    """A format of rating files: its bytes before a mutation, and where they lie."""

    name: str
    make: Callable[[Random], bytes]
    delimiter: str = ","
    has_header: bool = True
    title: str | None = None
    is_archive: bool = False

    def header(self) -> bytes:
        """The first line, as long as no mutation changes it."""
        return self.delimiter.join([*HEADER, *([self.title] if self.title else [])]).encode()


def rows_of(rng: Random) -> list[list[str]]:
    """Ratings as text; a few are superseded, a few are bad from the start."""
    rows = [
        [str(rng.randint(1, 20)), str(rng.randint(1, 40)), rng.choice(["1", "2.5", "3.0", "4"])] for _ in range(N_ROWS)
    ]
    stamped = [[*row, str(rng.randint(800_000_000, 999_999_999))] for row in rows]
    stamped[rng.randrange(N_ROWS)][2] = "9"
    return stamped


def delimited(rows: list[list[str]], delimiter: str) -> bytes:
    """Rows without quotes."""
    return "".join(delimiter.join(row) + "\n" for row in rows).encode()


def release_csv(rng: Random) -> bytes:
    """A ratings.csv."""
    return delimited([HEADER, *rows_of(rng)], ",")


def quoted_csv(rng: Random) -> bytes:
    """A CSV with titles, some of them with commas, quotes and line breaks."""
    titles = ["Heat (1995)", "Good, the Bad, The", 'the "best"', "two\nlines", "Amélie\r\nagain", ""]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(
        [[*HEADER, "title"], *([*row, rng.choice(titles)] for row in rows_of(rng))]
    )
    return stream.getvalue().encode()


def zipped(rng: Random) -> bytes:
    """A zip of a release with films; of two one has mutated files inside."""
    ratings, movies = release_csv(rng), b'movieId,title,genres\n1,"Heat, The (1995)",Crime\n2,Ronin,Action\n3,Blow\n'
    if rng.random() < INTACT_SHARE:
        ratings, movies = mutated(ratings, rng), mutated(movies, rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml/ratings.csv", ratings)
        archive.writestr("ml/movies.csv", movies)
    return stream.getvalue()


def parquet(rng: Random) -> bytes:
    """A Parquet file with ids as numbers or as text, some of them bad, with or without checksums."""
    users, movies, ratings, times = zip(*rows_of(rng), strict=True)
    kind = rng.choice([pa.int64(), pa.string(), pa.float64(), pa.decimal128(12, 3), pa.uint64()])
    odd: list[float | None] = [None, 1.5, 2.0, float("nan"), 2.0**60, float("inf")]
    ids = pa.array(users).cast(pa.float64() if pa.types.is_decimal(kind) else kind).cast(kind)
    if pa.types.is_floating(kind) or pa.types.is_string(kind):
        ids = pa.concat_arrays([ids[len(odd) :], pa.array(odd, pa.float64()).cast(kind)])
    table = pa.table(
        {
            "user_id": ids,
            "movie_id": pa.array(movies),
            "rating": pa.array([rng.choice([None, float(rating), float(rating)]) for rating in ratings]),
            "rated_at": pa.array([int(time) for time in times]),
        }
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(
        table,
        stream,
        compression=rng.choice(["none", "snappy", "zstd", "gzip"]),
        write_page_checksum=rng.random() < INTACT_SHARE,
        use_dictionary=rng.random() < INTACT_SHARE,
        row_group_size=rng.choice([7, 1000]),
    )
    return stream.getvalue()


FORMATS = (
    Format("ratings.csv", release_csv),
    Format("titled.csv", quoted_csv, title="title"),
    Format("votes.tsv", lambda rng: delimited([HEADER, *rows_of(rng)], "\t"), delimiter="\t"),
    Format("ratings.dat", lambda rng: delimited(rows_of(rng), "::"), delimiter="::", has_header=False),
    Format("ml.zip", zipped, is_archive=True),
    Format("votes.parquet", parquet, is_archive=True),
    Format("votes.csv.gz", lambda rng: gzip.compress(release_csv(rng))),
)


def flip(data: bytearray, rng: Random) -> None:
    """Flip one bit."""
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: Random) -> None:
    """Cut the file off."""
    del data[rng.randrange(1, len(data)) :]


def repeat(data: bytearray, rng: Random) -> None:
    """Repeat a part."""
    begin = rng.randrange(len(data))
    part = data[begin : begin + rng.randint(1, 80)]
    data[begin:begin] = part


def remove(data: bytearray, rng: Random) -> None:
    """Remove a part."""
    begin = rng.randrange(len(data))
    del data[begin : begin + rng.randint(1, 80)]
    data.extend(b"" if data else b"1")


def insert(*parts: bytes) -> Mutation:
    """Insert one of several parts somewhere."""

    def mutation(data: bytearray, rng: Random) -> None:
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.choice(parts)

    return mutation


def replace(part: bytes, *others: bytes) -> Mutation:
    """Replace one occurrence of a part by another."""

    def mutation(data: bytearray, rng: Random) -> None:
        places = [match.start() for match in re.finditer(re.escape(part), data)]
        if places:
            at = rng.choice(places)
            data[at : at + len(part)] = rng.choice(others)

    return mutation


def two_quotes(data: bytearray, rng: Random) -> None:
    """Open a field in one line and close it in another."""
    for _ in range(2):
        replace(b",", b',"', b'",')(data, rng)


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, cut, repeat, remove, two_quotes),
    insert(b'"', b'""', b'"\n', b'\n"', b',"'),
    insert(b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\x1f", b"\x1b[31m"),
    insert(b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"\t", b",", b"::"),
    replace(b",", b";", b"\t", b",,", b"", b", ", b'","'),
    replace(b"\n", b"", b",", b"\r", b" ", b"::"),
    replace(b"1", b"1.0", b"1.5", b"1e3", b"nan", b"01", b" 1", b"", b"9" * 30, b"\xd9\xa1", b"True"),
)


def mutated(content: bytes, rng: Random) -> bytes:
    """The content after one to three mutations."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        rng.choice(MUTATIONS)(data, rng)
        data.extend(b"" if data else b"\n")
    return bytes(data)


def read(path: Path, kind: Format) -> ImportedRatings:
    """Read a file as an import does."""
    is_plain = kind.title or kind.name.endswith("tsv")
    mapping = ColumnMapping(*HEADER, title=kind.title) if is_plain else None
    return open_source(path, mapping, STARS).read(STARS, lambda _fraction, _step: None)


def lines_of(content: bytes) -> list[bytes]:
    """Every line of a file."""
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.removesuffix(b"\n").split(b"\n") if text else []


def numbered_rows(content: bytes, kind: Format) -> dict[int, bytes]:
    """The rows of a text by line."""
    rows = {number: line for number, line in enumerate(lines_of(content), 1) if line.strip(b" ")}
    return dict(list(rows.items())[kind.has_header :])


def spelled(fields: list[str]) -> set[str]:
    """Every id that fields can stand for: themselves, or a whole number with a fraction of zero."""
    stripped = {field.strip() for field in fields}
    return stripped | {str(int(field.split(".")[0])) for field in stripped if re.fullmatch(r"[+-]?\d+\.0*", field)}


def check_text(imported: ImportedRatings, content: bytes, kind: Format) -> None:
    """Count every row once, find every certain one, and find the ids of every rating in its file."""
    rows = numbered_rows(content, kind)
    rejected = [row.line for row in imported.rejected if not row.file.startswith("movies")]
    superseded = [row.line for row in imported.superseded]
    assert len(imported.rows) + len(rejected) + len(superseded) + imported.n_continued == len(rows)
    reported = Counter([*rejected, *superseded])
    assert reported.keys() <= rows.keys()
    assert max(reported.values(), default=1) == 1
    ratings = imported.rows
    used = {
        (ratings.user_ids[user], ratings.movie_ids[movie], float(rating), int(time) // 1_000_000)
        for user, movie, rating, time in zip(
            ratings.user_codes, ratings.movie_codes, ratings.ratings, ratings.rated_at, strict=True
        )
    }
    if not kind.has_header or lines_of(content)[:1] == [kind.header()]:
        for number, line in rows.items():
            match = CERTAIN.fullmatch(line)
            if match and match["delimiter"].decode() == kind.delimiter and bool(match["title"]) == bool(kind.title):
                row = (match["user"].decode(), match["movie"].decode(), float(match["rating"]), int(match["time"]))
                assert number in superseded or row in used, (number, line)
    fields = [field for line in rows.values() for field in fields_of(line, kind.delimiter)]
    known = spelled(fields)
    assert all(user in known and movie in known for user, movie, _, _ in used)
    if kind.delimiter == ",":
        assert not any('"' in user + movie for user, movie, _, _ in used)


def check_movies(imported: ImportedRatings, content: bytes) -> None:
    """Count every film of a file without quotes once."""
    n_rejected = sum(row.file == "movies.csv" for row in imported.rejected)
    if b'"' not in content:
        n_rows = sum(bool(line.strip(b" ")) for line in lines_of(content)) - 1
        assert len(imported.movies) + n_rejected == n_rows


def fields_of(line: bytes, delimiter: str) -> list[str]:
    """The fields of a line, split with and without a meaning of quotes."""
    text = line.decode("utf-8", "replace")
    quoted = next(csv.reader([text.replace("\0", "")]), []) if delimiter == "," else []
    return [*text.split(delimiter), *quoted]


def check(path: Path, imported: ImportedRatings, kind: Format) -> None:
    """Compare what was read with the rows of the file."""
    if kind.name.endswith(".parquet"):
        n_rows = pyarrow.parquet.read_metadata(path).num_rows
        assert len(imported.rows) + len(imported.rejected) + len(imported.superseded) == n_rows
    elif kind.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("ratings.csv"))
            check_text(imported, archive.read(name), kind)
            check_movies(imported, archive.read(name.replace("ratings", "movies")))
    else:
        check_text(imported, path.read_bytes(), kind)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_rows_in_are_rows_used_and_rows_reported(tmp_path: Path, kind: Format, repetitions: Any) -> None:
    """Whatever is done to a file, each of its rows is used or reported, or the file is refused with a sentence."""
    rng = random.Random(f"mutated {kind.name}")
    n_files = repetitions.of(N_FILES // len(FORMATS) + 1)
    (tmp_path / "README").write_text("MovieLens 1M\n")
    path = tmp_path / kind.name
    n_refused = n_rows = 0
    for _ in range(n_files):
        content = kind.make(rng)
        is_intact = kind.is_archive and rng.random() < INTACT_SHARE
        path.write_bytes(content if is_intact else mutated(content, rng))
        try:
            imported = read(path, kind)
        except InvalidInput:
            n_refused += 1
            continue
        check(path, imported, kind)
        n_rows += imported.n_read
    print(f"\n{kind.name}: {n_files:,} mutated files, {n_refused:,} refused, {n_rows:,} rows, none lost")
    assert n_refused < n_files or kind.name.endswith(".gz")
