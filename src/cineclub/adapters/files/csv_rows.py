"""Rows of delimited files of movies, one by one; a quoted field may hold line breaks."""

from collections.abc import Callable, Iterator, Sequence

from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.quoting import quoted_blocks, split_line
from cineclub.adapters.files.tables import LONGEST_SHOWN_CONTENT, header_of, overlong_rows
from cineclub.domain.ratings.imported import RejectedRow

BAD_QUOTES = "a quote that does not close its field"
Fields = list[str | None]


def has_plain_id(fields: Fields) -> bool:
    """Return whether the first field is an id: some text without blanks and quotes."""
    movie_id = fields[0] or ""
    return bool(movie_id) and not any(character.isspace() or character == '"' for character in movie_id)


def csv_rows(
    open_file: Callable[[], SourceFile],
    columns: Sequence[str],
    faults: list[RejectedRow],
    *,
    delimiter: str = ",",
    looks_like_row: Callable[[Fields], bool] = has_plain_id,
) -> Iterator[tuple[int, Fields]]:
    """Yield the line and the fields of each row, None for a column that the file lacks; add others to ``faults``.

    A line for which ``looks_like_row`` holds, with every column, is never taken into a quoted field.

    Raises:
        InvalidInput: the file is no text, has no header, or cannot be read.
    """
    names = header_of(open_file, delimiter)
    places = [names.index(name) if name in names else None for name in columns]

    def wanted(fields: Sequence[str]) -> Fields:
        return [None if place is None else fields[place] for place in places]

    is_header = True
    with open_file() as file:
        is_row = lambda fields: len(fields) == len(names) and looks_like_row(wanted(fields))  # noqa: E731
        for quoted in quoted_blocks(file, delimiter.encode(), is_row):
            for line, content, fault in quoted.lines():
                is_blank = not content.strip(b" ")
                if not (is_blank or is_header):
                    fields, reason = _split(decoded(content), delimiter, fault, len(names))
                    if reason:
                        faults.append(RejectedRow(file.name, line, reason, decoded(content[:LONGEST_SHOWN_CONTENT])))
                    else:
                        yield line, wanted(fields)
                is_header &= is_blank
            faults += overlong_rows(file.name, quoted.block)


def decoded(content: bytes) -> str:
    """Return a file's text without NUL characters: UTF-8, or Latin-1 as in the oldest releases."""
    content = content.replace(b"\0", b"")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _split(text: str, delimiter: str, fault: str, n_columns: int) -> tuple[list[str], str]:
    """Return the fields of a row and an empty text, or no fields and the reason why it is no row."""
    fields = None if fault else split_line(text, delimiter)
    if delimiter == "\t" and (fields is None or len(fields) != n_columns):
        fields = text.split(delimiter)  # between tabs a quote may be a character as any other
        fault = "" if len(fields) == n_columns else fault
    if fault or fields is None:
        return [], fault or BAD_QUOTES
    return (fields, "") if len(fields) == n_columns else ([], f"{len(fields)} columns where {n_columns} belong")
