"""The rows of a dump, loaded into tables that cineclub made itself.

A dump is a program: its tables, functions and triggers could run anything with the rights of whoever restores it, or
of the service later. So no statement of a dump is ever executed. ``pg_restore`` prints its data; of this text only rows
and the values of sequences are read, and any other line that is not among the known settings refuses the dump.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, LiteralString

import psycopg
from psycopg import sql

from cineclub.domain.errors import InvalidInput

NAME = rb'(?:[a-z_][a-z0-9_$]*|"[A-Za-z0-9_ $-]+")'
COPY = re.compile(rb"COPY (" + NAME + rb")\.(" + NAME + rb") \((" + NAME + rb"(?:, " + NAME + rb")*)\) FROM stdin;\n")
SEQUENCE = re.compile(
    rb"SELECT pg_catalog\.setval\('(" + NAME + rb")\.(" + NAME + rb")', ([0-9]{1,19}), (true|false)\);\n"
)
ENCODING = re.compile(rb"SET client_encoding = '([A-Za-z0-9_]+)';\n")
WITHOUT_EFFECT = re.compile(
    rb"\n|--[^\n]*\n|SET [a-z_]+ = [A-Za-z0-9_']+;\n|SELECT pg_catalog\.set_config\('search_path', '', false\);\n"
    rb"|\\(?:un)?restrict [A-Za-z0-9]+\n"
)
END_OF_ROWS = b"\\.\n"
BLOCK = 1 << 20
SHOWN = 80
COLUMNS = """
SELECT c.relname AS "table", array_agg(a.attname::text) AS columns FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' GROUP BY c.relname
"""
SEQUENCES = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'S'"
CONSTRAINTS = """
SELECT format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I', n.nspname, c.relname, k.conname) AS "drop",
       format('ALTER TABLE %%I.%%I ADD CONSTRAINT %%I %%s', n.nspname, c.relname, k.conname,
              pg_get_constraintdef(k.oid)) AS "create"
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('p', 'u', 'f') AND k.connamespace = to_regnamespace(%s)
ORDER BY k.contype = 'f' DESC, k.oid
"""
INDEXES = """
SELECT format('DROP INDEX %%I.%%I', n.nspname, c.relname) AS "drop", pg_get_indexdef(c.oid) AS "create"
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.oid = to_regnamespace(%s) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
"""What is created after the rows are loaded, as our own migrations and those of MLflow have defined it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table in COPY's text format; the blocks are read before the next statement."""

    table: str
    columns: tuple[str, ...]
    blocks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class SequenceValue:
    """The last value of a sequence."""

    sequence: str
    value: int
    is_called: bool


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of the rows that follow."""

    name: str


def dumped(script: IO[bytes], schema: str) -> Iterator[Rows | SequenceValue | Encoding]:
    """Yield what a dump's text has for one schema.

    Raises:
        InvalidInput: the text has another statement, or a table of another schema.
    """
    lines = _Lines(script)
    while line := lines.next():
        if match := COPY.fullmatch(line):
            rows = Rows(_name(match[2]), tuple(_name(name) for name in re.findall(NAME, match[3])), lines.rows())
            statement: Rows | SequenceValue | Encoding = rows
        elif match := SEQUENCE.fullmatch(line):
            statement = SequenceValue(_name(match[2]), int(match[3]), match[4] == b"true")
        elif match := ENCODING.fullmatch(line):
            yield Encoding(match[1].decode())
            continue
        elif WITHOUT_EFFECT.fullmatch(line):
            continue
        else:
            raise _refused(line)
        if _name(match[1]) != schema:
            raise _refused(line)
        yield statement


class _Lines:
    """The lines of a text, read in blocks."""

    def __init__(self, text: IO[bytes]) -> None:
        """Read nothing yet."""
        self._text = text
        self._lines: list[bytes] = []
        self._position = 0

    def next(self) -> bytes:
        """Return the next line with its end; empty after the last one."""
        if not self._has_lines():
            return b""
        self._position += 1
        return self._lines[self._position - 1]

    def rows(self) -> Iterator[bytes]:
        """Yield blocks of lines up to the line that ends rows; InvalidInput without one."""
        while self._has_lines():
            start = self._position
            try:
                end = self._lines.index(END_OF_ROWS, start)
            except ValueError:
                self._position = len(self._lines)
                yield b"".join(self._lines[start:])
                continue
            self._position = end + 1
            yield b"".join(self._lines[start:end])
            return
        unfinished = b"the end in the midst of a table"
        raise _refused(unfinished)

    def _has_lines(self) -> bool:
        """Return whether a line is left, after reading a block if necessary."""
        if self._position >= len(self._lines):
            self._lines, self._position = self._text.readlines(BLOCK), 0
        return bool(self._lines)


@dataclass(frozen=True, slots=True)
class Loading:
    """The schema that a dump's rows are written to.

    Attributes:
        schema: its name in the database.
        dumped_schema: its name in the dump.
        skipped: tables whose present rows stay.
    """

    schema: str
    dumped_schema: str
    skipped: frozenset[str] = frozenset()


def load_rows(connection: psycopg.Connection[dict[str, Any]], script: IO[bytes], loading: Loading) -> list[str]:
    """Replace the rows of a schema's tables by those of a dump, and return the names of tables that have no place.

    Call it in a transaction. Keys and indexes are made at the end, which is faster.

    Raises:
        InvalidInput: the dump has something else than rows, or lacks a table or column.
    """
    columns = {row["table"]: set(row["columns"]) for row in connection.execute(COLUMNS.encode(), (loading.schema,))}
    sequences = {row["relname"] for row in connection.execute(SEQUENCES.encode(), (loading.schema,))}
    later = [
        row
        for query in (CONSTRAINTS, INDEXES)
        for row in connection.execute(query.encode(), (loading.schema,)).fetchall()
    ]
    _prepare(connection, loading, columns.keys() - loading.skipped, later)
    loaded: set[str] = set()
    unknown = []
    for part in dumped(script, loading.dumped_schema):
        match part:
            case Encoding():
                connection.execute("SELECT set_config('client_encoding', %s, true)", (part.name,))
            case SequenceValue() if part.sequence in sequences:
                name = sql.Identifier(loading.schema, part.sequence).as_string(connection)
                connection.execute("SELECT setval(%s::regclass, %s, %s)", (name, part.value, part.is_called))
            case Rows() if part.table in columns.keys() - loading.skipped:
                _refuse_unknown_columns(part, columns[part.table])
                _copy(connection, loading, part)
                loaded.add(part.table)
            case Rows():
                for _block in part.blocks:
                    pass
                unknown += [part.table] if part.table not in columns else []
    if missing := columns.keys() - loading.skipped - loaded:
        message = f"the backup has no table {loading.dumped_schema}.{min(missing)}: use another"
        raise InvalidInput(message)
    _finish(connection, loading, loaded, later)
    return [f"{loading.dumped_schema}.{table}" for table in unknown]


def _prepare(
    connection: psycopg.Connection[dict[str, Any]], loading: Loading, tables: set[str], later: list[dict[str, Any]]
) -> None:
    """Empty the tables, put their triggers out of action, and drop keys and indexes."""
    for table in tables:
        connection.execute(_on(loading, table, "ALTER TABLE {} DISABLE TRIGGER USER"))
    for row in later:
        connection.execute(row["drop"].encode())
    for table in tables:
        connection.execute(_on(loading, table, "TRUNCATE {}"))


def _finish(
    connection: psycopg.Connection[dict[str, Any]], loading: Loading, tables: set[str], later: list[dict[str, Any]]
) -> None:
    """Create indexes and keys again, the foreign ones last, and put the triggers into action."""
    for row in reversed(later):
        connection.execute(row["create"].encode())
    for table in tables:
        connection.execute(_on(loading, table, "ALTER TABLE {} ENABLE TRIGGER USER"))


def _on(loading: Loading, table: str, statement: LiteralString) -> sql.Composed:
    """Return a statement on a table."""
    return sql.SQL(statement).format(sql.Identifier(loading.schema, table))


def _copy(connection: psycopg.Connection[dict[str, Any]], loading: Loading, rows: Rows) -> None:
    """Write rows into their table."""
    names = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(loading.schema, rows.table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in rows.blocks:
            copy.write(block)


def _refuse_unknown_columns(rows: Rows, columns: set[str]) -> None:
    """Raise InvalidInput if rows have a column that their table has not."""
    if unknown := set(rows.columns) - columns:
        message = f"the backup has a column {rows.table}.{min(unknown)} that this cineclub does not know: use another"
        raise InvalidInput(message)


def _name(quoted: bytes) -> str:
    """Return a name without its quotes."""
    return quoted.decode("ascii").strip('"')


def _refused(line: bytes) -> InvalidInput:
    """Return the error about a line that is no data."""
    shown = line[:SHOWN].decode("utf-8", "replace").strip()
    return InvalidInput(f"the backup's dump has something else than data ({shown!r}): use a backup of your own")
