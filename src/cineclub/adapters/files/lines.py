"""Lines of a text file in blocks of bounded size: UTF-8, ended by LF, CR LF or CR."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.errors import InvalidInput

BLOCK_BYTES = 1 << 24
LONGEST_LINE = 1 << 20
SHOWN_BYTES = 200
LARGEST_TEXT = 1 << 28
"""Bytes of a file that is read whole: the films of a release, a README."""

SMALL_EXPANSION, LARGEST_RATIO = 1 << 28, 50
"""A member of an archive may expand to so many bytes, or to so many times its size in the archive."""

FOREIGN_BEGINNINGS = {
    b"\xff\xfe": "in UTF-16: save it as UTF-8",
    b"\xfe\xff": "in UTF-16: save it as UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it first (gunzip)",
    b"BZh": "compressed by bzip2: unpack it first (bunzip2)",
    b"\xfd7zXZ\0": "compressed by xz: unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it first (unzstd)",
    b"PK\x03\x04": "a zip or a spreadsheet: name it .zip if it holds ratings, or save the spreadsheet as CSV",
    b"PAR1": "Parquet: name it .parquet",
    b"SQLite format 3\0": "a database of SQLite: export its ratings as CSV",
}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SourceFile:
    """An open file of ratings or movies, whose faults are errors that name it."""

    def __init__(
        self, name: str, open_file: Callable[[], AbstractContextManager[BinaryIO]], largest: int | None
    ) -> None:
        """Open the file; ``largest`` is the number of bytes that it may have, None for any number.

        Raises:
            InvalidInput: it cannot be opened.
        """
        self.name = name
        self._largest = largest
        self._n_bytes = 0
        with Faults(name):
            self._context = open_file()
            self._file = self._context.__enter__()

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the file."""
        self._context.__exit__(None, None, None)

    def read(self, n_bytes: int) -> bytes:
        """Return at most so many bytes, none at the end.

        Raises:
            InvalidInput: the file is damaged or encrypted, cannot be read, or expands beyond its limit.
        """
        with Faults(self.name):
            content = self._file.read(n_bytes)
        self._n_bytes += len(content)
        if self._largest is not None and self._n_bytes > self._largest:
            raise _too_large(self.name, self._largest)
        return content


def _too_large(name: str, largest: int) -> InvalidInput:
    """Return the error of a member of an archive that expands too far."""
    return InvalidInput(
        f"{name} expands to more than {largest >> 20:,} MiB, which is no archive of ratings: unpack it yourself and "
        "import the folder, if it is what you expect"
    )


UNSUPPORTED_PACKING: Final = ("compression", "compressed patched data", "strong encryption", "zip file version")
"""How the RuntimeError of ``zipfile`` names a feature of an archive that it does not support."""


class Faults:
    """Turns what libraries raise for a bad file into an InvalidInput that names it."""

    def __init__(self, name: str) -> None:
        """Take the name of the file."""
        self._name = name

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Raise InvalidInput in place of the errors of a bad file."""
        if isinstance(error, RuntimeError) and any(feature in str(error) for feature in UNSUPPORTED_PACKING):
            message = (
                f"{self._name} is packed in a way that is not supported ({error}): unpack it and import the folder"
            )
        elif isinstance(error, RuntimeError) and "encrypted" in str(error):
            message = f"{self._name} is encrypted: unpack it with its password and import the folder"
        elif isinstance(error, IsADirectoryError):
            message = f"{self._name} is a folder where a file belongs: name the file"
        elif isinstance(error, OSError):
            message = f"{self._name} cannot be read ({error.strerror or error}): check that it exists and may be read"
        elif isinstance(error, zipfile.BadZipFile | zlib.error | EOFError | ValueError | KeyError | IndexError):
            message = f"{self._name} is damaged ({error or 'it ends too early'}): copy or download it again"
        else:
            return
        raise InvalidInput(message) from error


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a file.

    Attributes:
        first: the number of the first line, from 1.
        content: the lines, each ended by LF.
        ends: (n,) the position of the LF of each line.
        overlong: lines beyond the limit by number, shortened; they are empty in ``content``.
    """

    first: int
    content: bytes
    ends: NDArray[np.int64]
    overlong: tuple[tuple[int, bytes], ...] = ()

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.ends)

    def line(self, nth: int) -> bytes:
        """Return a line without its end."""
        return self.content[self.start(nth) : self.ends[nth]]

    def start(self, nth: int) -> int:
        """Return the position at which a line starts."""
        return int(self.ends[nth - 1]) + 1 if nth else 0

    def since(self, nth: int) -> "LineBlock":
        """Return the lines from one on."""
        return block_of(self.first + nth, self.content[self.start(nth) :]) if nth < len(self) else NO_LINES

    def until(self, nth: int) -> "LineBlock":
        """Return the lines before one."""
        if nth == len(self):
            return self
        return LineBlock(self.first, self.content[: self.start(nth)], self.ends[:nth], self.overlong)

    def followed_by(self, block: "LineBlock") -> "LineBlock":
        """Return these lines and those of the block after them."""
        if not len(self):
            return block
        joined = block_of(self.first, self.content + block.content)
        return LineBlock(joined.first, joined.content, joined.ends, (*self.overlong, *block.overlong))


def block_of(first: int, content: bytes) -> LineBlock:
    """Return a block of whole lines; those beyond the limit are shortened."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n"))
    too_long = np.flatnonzero(np.diff(ends, prepend=-1) > LONGEST_LINE + 1)
    if not len(too_long):
        return LineBlock(first, content, ends)
    lines = content.split(b"\n")
    overlong = tuple((first + int(nth), lines[nth][:SHOWN_BYTES]) for nth in too_long)
    for nth in too_long:
        lines[nth] = b""
    shorter = block_of(first, b"\n".join(lines))
    return LineBlock(first, shorter.content, shorter.ends, overlong)


NO_LINES = LineBlock(1, b"", np.empty(0, np.int64))


def line_blocks(file: SourceFile, block_bytes: int = BLOCK_BYTES) -> Iterator[LineBlock]:
    """Yield all lines of a file in blocks of about so many bytes.

    Raises:
        InvalidInput: the file is no text, or what ``SourceFile.read`` raises.
    """
    first, rest, beginning = 1, b"", None  # the beginning of a line that is too long to be stored
    for chunk in _chunks(file, block_bytes):
        overlong: tuple[tuple[int, bytes], ...] = ()
        content = rest + chunk
        if beginning is not None:
            if b"\n" not in content:
                continue
            content, overlong, beginning = content[content.index(b"\n") :], ((first, beginning),), None
        end = content.rfind(b"\n") + 1
        content, rest = content[:end], content[end:]
        if len(rest) > LONGEST_LINE:
            beginning, rest = rest[:SHOWN_BYTES], b""
        if content:
            block = block_of(first, content)
            yield LineBlock(first, block.content, block.ends, (*overlong, *block.overlong))
            first += len(block)


def _chunks(file: SourceFile, n_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of a file with LF as the end of every line, the last one included."""
    held, last = b"", b"\n"
    chunk = file.read(n_bytes)
    _refuse_foreign(file.name, chunk)
    chunk = chunk.removeprefix(BYTE_ORDER_MARK)
    while chunk:
        chunk = held + chunk
        held = b"\r" if chunk.endswith(b"\r") else b""  # half of a CR LF, perhaps
        chunk = chunk[: len(chunk) - len(held)]
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if chunk:
            last = chunk[-1:]
            yield chunk
        chunk = file.read(n_bytes)
    if held or last != b"\n":
        yield b"\n"


def _refuse_foreign(name: str, content: bytes) -> None:
    """Raise InvalidInput for a file whose first bytes are those of another format."""
    for beginning, description in FOREIGN_BEGINNINGS.items():
        if content.startswith(beginning):
            message = f"{name} is {description}"
            raise InvalidInput(message)


def file_opener(path: Path) -> Callable[[], SourceFile]:
    """Return what opens a file of a folder."""
    return lambda: SourceFile(path.name, lambda: path.open("rb"), None)


def member_opener(archive: Path, member: zipfile.ZipInfo, name: str) -> Callable[[], SourceFile]:
    """Return what opens a member of a zip; it may not expand beyond what a text can."""
    largest = max(SMALL_EXPANSION, LARGEST_RATIO * member.compress_size)

    def opened() -> SourceFile:
        if member.file_size > largest:
            raise _too_large(name, largest)
        return SourceFile(name, lambda: _open_member(archive, member), largest)

    return opened


@contextmanager
def _open_member(archive: Path, member: zipfile.ZipInfo) -> Iterator[BinaryIO]:
    """Give an open member of a zip."""
    with zipfile.ZipFile(archive) as opened, opened.open(member) as file:
        yield cast("BinaryIO", file)


def whole(open_file: Callable[[], SourceFile]) -> bytes:
    """Return the bytes of a file that is small.

    Raises:
        InvalidInput: it is larger than ``LARGEST_TEXT``, or what ``SourceFile.read`` raises.
    """
    parts, n_bytes = [], 0
    with open_file() as file:
        while part := file.read(BLOCK_BYTES):
            parts.append(part)
            n_bytes += len(part)
            if n_bytes > LARGEST_TEXT:
                message = f"{file.name} is larger than {LARGEST_TEXT >> 20} MiB: it holds something else than films"
                raise InvalidInput(message)
    return b"".join(parts)
