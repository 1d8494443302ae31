"""Export of ratings and movies as files of the csv release's format, which `cineclub import` reads."""

import json
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.copy_errors import copy_errors
from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.domain.ratings.import_counts import ImportProgress
from cineclub.runtime.unfinished import unfinished_file

SQL = named_queries("exporting.sql")
FILES = ("movies", "links", "attributes", "ratings")


def export_ratings(database_url: str, folder: Path, progress: ImportProgress) -> int:
    """Write ratings, movies, links, attributes and the scale into a folder, and return the number of ratings.

    All files are of one moment, and appear when all are complete. A folder with any of them is not changed.

    Raises:
        InvalidInput: the folder holds such files already, or cannot be written.
        NotEnoughData: nothing was imported yet.
        StorageUnavailable: PostgreSQL does not answer, or the disk is full.
    """
    with copy_errors(f"nothing was exported to {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        return _export(database_url, folder, progress)


def _export(database_url: str, folder: Path, progress: ImportProgress) -> int:
    """Write the files into an existing folder, and return the number of ratings."""
    if present := [name for name in FILES if (folder / f"{name}.csv").exists()]:
        message = f"{folder} holds {', '.join(f'{name}.csv' for name in present)} already: choose another folder"
        raise InvalidInput(message)
    with session(database_url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        facts = connection.execute(SQL["facts"].encode()).fetchone()
        if facts is None:
            message = "there is nothing to export: run `cineclub import` first"
            raise NotEnoughData(message)
        with ExitStack() as files:
            scale = {"scale_lowest": facts["scale_lowest"], "scale_highest": facts["scale_highest"]}
            unfinished = files.enter_context(unfinished_file(folder / "cineclub.json"))
            unfinished.write_text(json.dumps(scale, indent=1) + "\n", "utf-8")
            for nth, name in enumerate(FILES):
                progress(nth / len(FILES), f"{name}.csv")
                _copy(connection, SQL[name], files.enter_context(unfinished_file(folder / f"{name}.csv")))
    progress(1.0, "done")
    return int(facts["n_ratings"])


def _copy(connection: psycopg.Connection[Row], query: str, path: Path) -> None:
    """Write the rows of a query as a CSV."""
    copy_out = sql.SQL("COPY ({}) TO STDOUT (FORMAT CSV, HEADER)").format(sql.SQL(query.rstrip(";")))
    with path.open("wb") as file, connection.cursor().copy(copy_out) as copy:
        for block in copy:
            file.write(block)
