"""Ratings and films back into files of the csv release's form, which `cineclub import` takes again."""

import json
from pathlib import Path

import psycopg
from psycopg import sql

from cineclub.adapters.postgres.sessions import Row, named_queries, session
from cineclub.domain.errors import InvalidInput, NotEnoughData
from cineclub.ports import ImportProgress

SQL = named_queries("exporting.sql")
FILES = ("movies", "links", "ratings")


def export_ratings(database_url: str, folder: Path, progress: ImportProgress) -> int:
    """Write ratings.csv, movies.csv, links.csv and the scale into a folder, and return the number of ratings.

    All files are of one moment. A folder that holds any of them already is left alone.

    Raises:
        InvalidInput: the folder holds such files already.
        NotEnoughData: nothing was imported yet.
        StorageUnavailable: PostgreSQL does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if present := [name for name in FILES if (folder / f"{name}.csv").exists()]:
        message = f"{folder} holds {', '.join(f'{name}.csv' for name in present)} already: choose another folder"
        raise InvalidInput(message)
    with session(database_url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        facts = connection.execute(SQL["facts"].encode()).fetchone()
        if facts is None:
            message = "there is nothing to export: run `cineclub import` first"
            raise NotEnoughData(message)
        for nth, name in enumerate(FILES):
            progress(nth / len(FILES), f"{name}.csv")
            _copy(connection, SQL[name], folder / f"{name}.csv")
    scale = {"scale_lowest": facts["scale_lowest"], "scale_highest": facts["scale_highest"]}
    (folder / "cineclub.json").write_text(json.dumps(scale, indent=1) + "\n", "utf-8")
    progress(1.0, "done")
    return int(facts["n_ratings"])


def _copy(connection: psycopg.Connection[Row], query: str, path: Path) -> None:
    """Write the rows of a query as a CSV, complete or not at all."""
    unfinished = path.with_suffix(".unfinished")
    copy_out = sql.SQL("COPY ({}) TO STDOUT (FORMAT CSV, HEADER)").format(sql.SQL(query.rstrip(";")))
    with unfinished.open("wb") as file, connection.cursor().copy(copy_out) as copy:
        for block in copy:
            file.write(block)
    unfinished.rename(path)
