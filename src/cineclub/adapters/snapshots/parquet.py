"""The two files of a snapshot, ratings in canonical order and movies; written and read by row groups."""

import errno
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.ratings.labels import label_document, labels_in
from cineclub.domain.ratings.log import Movie, RatingLog, RatingScale, Snapshot, SnapshotIdentity

FORMAT = 1
OF_THE_FILE = frozenset({None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR})
"""The numbers of errors that tell of a missing or foreign file; those of pyarrow about a damaged one have none."""
RATINGS, MOVIES = "ratings.parquet", "movies.parquet"
HEAD = b"cineclub"
ROWS_PER_GROUP = 1 << 20
COLUMNS = pa.schema(
    [
        pa.field("user_id", pa.int64(), nullable=False),
        pa.field("movie_id", pa.int64(), nullable=False),
        pa.field("rating", pa.float32(), nullable=False),
        pa.field("rated_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
MOVIE_COLUMNS = pa.schema(
    [
        pa.field("movie_id", pa.int64(), nullable=False),
        pa.field("external_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("year", pa.int32()),
        pa.field("genres", pa.list_(pa.string()), nullable=False),
        pa.field("imdb_id", pa.string()),
        pa.field("tmdb_id", pa.string()),
        pa.field("labels", pa.string(), nullable=False),
        pa.field("runtime_minutes", pa.int32()),
        pa.field("is_available", pa.bool_(), nullable=False),
    ]
)
# users and times ascend, so their differences are small; movies and ratings have few different values
HOW_WRITTEN: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["movie_id", "rating"],
    "column_encoding": {"user_id": "DELTA_BINARY_PACKED", "rated_at": "DELTA_BINARY_PACKED"},
    "write_page_checksum": True,
}


def write_ratings(path: Path, log: RatingLog, identity: SnapshotIdentity) -> None:
    """Write a log in canonical order as a new file, through to the disk."""
    head = {
        "format": FORMAT,
        "content_sha256": identity.content_sha256,
        "lowest": log.scale.lowest,
        "highest": log.scale.highest,
        "is_rewritten": False,
    }
    with _rating_writer(path, head) as writer:
        for start in range(0, len(log), ROWS_PER_GROUP):
            rows = slice(start, start + ROWS_PER_GROUP)
            columns = (log.user_ids[rows], log.movie_ids[rows], log.ratings[rows], log.rated_at[rows])
            arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, COLUMNS, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema), row_group_size=ROWS_PER_GROUP)


def write_movies(path: Path, movies: Sequence[Movie]) -> None:
    """Write movies as a new file, through to the disk; labels in JSON, no overviews."""
    rows = [
        {name: getattr(movie, name) for name in MOVIE_COLUMNS.names}
        | {"genres": list(movie.genres), "labels": json.dumps(label_document(movie.labels))}
        for movie in movies
    ]
    with path.open("xb") as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=MOVIE_COLUMNS), file, compression="zstd")
        _to_disk(file)


def read_snapshot(folder: Path) -> Snapshot:
    """Return the snapshot of a folder, with the identity of its present ratings.

    Raises:
        BrokenArtifact: a file is missing or cannot be read.
    """
    with parquet_errors(folder):
        rows = pq.read_table(folder / MOVIES, page_checksum_verification=True).to_pylist()
        movies = tuple(map(_movie_of, rows))
        with pq.ParquetFile(folder / RATINGS, page_checksum_verification=True) as file:
            head = _head_of(file)
            log = _log_of(file, RatingScale(head["lowest"], head["highest"]))
    return Snapshot(log, movies, SnapshotIdentity.of(log, movies))


def _movie_of(row: dict[str, Any]) -> Movie:
    """Return the movie of a row; those of earlier releases have no labels."""
    lists = {"genres": tuple(row["genres"]), "labels": labels_in(json.loads(row.get("labels", "{}")))}
    return Movie(**(row | lists))


def holds_any(path: Path, user_ids: Collection[int]) -> bool:
    """Return whether a file has a rating by one of these users.

    Raises:
        BrokenArtifact: the file cannot be read.
    """
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        return any(group.any() for group in _masks(file, user_ids))


def rewrite_without(path: Path, user_ids: Collection[int]) -> None:
    """Replace a file by one without the ratings of these users, atomically, under the lock of the archive.

    Raises:
        BrokenArtifact: the file cannot be read; it is unchanged.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with parquet_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        head = _head_of(file) | {"is_rewritten": True}
        with _rating_writer(unfinished, head) as writer:
            for nth, erased in enumerate(_masks(file, user_ids)):
                rows = file.read_row_group(nth).filter(pa.array(~erased))
                writer.write_table(rows.replace_schema_metadata(writer.schema.metadata).cast(writer.schema))
    unfinished.replace(path)
    directory_to_disk(path.parent)


def is_rewritten(path: Path) -> bool:
    """Return whether the ratings of an erased user were removed from a file.

    Raises:
        BrokenArtifact: the file cannot be read.
    """
    with parquet_errors(path), pq.ParquetFile(path) as file:
        return bool(_head_of(file)["is_rewritten"])


def directory_to_disk(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Raise BrokenArtifact if a file is missing, damaged or of another format.

    Other errors of the system, such as a full disk, say nothing about the file and are raised as they are: a damaged
    snapshot with an erased user is deleted.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno not in OF_THE_FILE:
            raise
        first_line = str(error).strip().partition("\n")[0]
        message = f"the snapshot {path} is damaged ({first_line}): models of it cannot be fitted again"
        raise BrokenArtifact(message) from error


@contextmanager
def _rating_writer(path: Path, head: dict[str, Any]) -> Iterator[pq.ParquetWriter]:
    """Yield a writer of a new file of ratings, which is on the disk afterwards."""
    schema = COLUMNS.with_metadata({HEAD: json.dumps(head).encode()})
    with path.open("xb") as file:
        with pq.ParquetWriter(file, schema, **HOW_WRITTEN) as writer:
            yield writer
        _to_disk(file)


def _to_disk(file: Any) -> None:
    """Wait until an open file's content is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _head_of(file: pq.ParquetFile) -> dict[str, Any]:
    """Return the metadata of a file of ratings."""
    metadata = file.schema_arrow.metadata or {}
    head: dict[str, Any] = json.loads(metadata[HEAD])
    if head["format"] != FORMAT:
        message = f"it has format {head['format']}, this version of cineclub reads {FORMAT}"
        raise ValueError(message)
    return head


def _log_of(file: pq.ParquetFile, scale: RatingScale) -> RatingLog:
    """Return every row, one row group after another into arrays of the full length."""
    n_rows = file.metadata.num_rows
    user_ids, movie_ids, rated_at = (np.empty(n_rows, np.int64) for _ in range(3))
    log = RatingLog(user_ids, movie_ids, np.empty(n_rows, np.float32), rated_at, scale)
    start = 0
    for nth in range(file.num_row_groups):
        group = file.read_row_group(nth)
        rows = slice(start, start + len(group))
        log.user_ids[rows] = group["user_id"].to_numpy()
        log.movie_ids[rows] = group["movie_id"].to_numpy()
        log.ratings[rows] = group["rating"].to_numpy()
        log.rated_at[rows] = group["rated_at"].cast(pa.int64()).to_numpy()
        start = rows.stop
    return log


def _masks(file: pq.ParquetFile, user_ids: Collection[int]) -> Iterator[NDArray[np.bool_]]:
    """Yield for each row group a mask of the rows by these users; only groups that may have some are read."""
    wanted = np.array(sorted(user_ids), np.int64)
    for nth in range(file.num_row_groups):
        group = file.metadata.row_group(nth)
        statistics = group.column(0).statistics
        if statistics is not None and not ((wanted >= statistics.min) & (wanted <= statistics.max)).any():
            yield np.zeros(group.num_rows, np.bool_)
        else:
            yield np.isin(file.read_row_group(nth, columns=["user_id"])["user_id"].to_numpy(), wanted)
