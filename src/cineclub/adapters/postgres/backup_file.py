"""The file of a backup: a compressed tar whose every byte is checked before anything of it is used.

Format 2 is a gzip file. Its head, an empty member, has the SHA-256 of all other bytes. The tar begins with the facts of
the backup and ends with the size and SHA-256 of every member. Format 1, of earlier releases, has the checksums of its
compression (gzip or xz) and the SHA-256 of the dump.

A backup may come from a stranger: only regular files and folders are extracted, under names checked here, into a new
folder, each created exclusively.
"""

import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from cineclub.domain.errors import InvalidInput

FORMAT = 2
FACTS, DUMP, MEMBERS = "backup.json", "database.dump", "members.json"
FOLDERS = ("artifacts", "models", "snapshots")
BLOCK = 1 << 20
GZIP, XZ = b"\x1f\x8b\x08", b"\xfd7zXZ\x00"
# an empty gzip member (RFC 1952) with an extra field "cc" of 32 bytes: readers of gzip files skip it
HEAD_START = GZIP + b"\x04\x00\x00\x00\x00\x00\xff" + b"\x24\x00" + b"cc\x20\x00"
HEAD_END = b"\x03\x00" + bytes(8)
DIGEST_BYTES = 32
HEAD_BYTES = len(HEAD_START) + DIGEST_BYTES + len(HEAD_END)
MOST_NAME_BYTES, MOST_PART_BYTES, MOST_PARTS = 1024, 255, 24
MOST_HEADER_BYTES = 64 << 10  # of a tar header that holds a long name
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONG_NAMES = (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
DAMAGES = (
    *(tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError, RecursionError),
    *(FileExistsError, NotADirectoryError),  # of names that a backup has twice
)


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The facts of a backup: format, newest migration, the homes that addresses in it name, hash of the dump."""

    format: int
    migration: int
    homes: tuple[str, ...]
    dump_sha256: str | None = None

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the facts of a JSON document; ValueError if it has others."""
        try:
            document = json.loads(content)
            homes = tuple(str(home) for home in document["homes"])
            return cls(int(document["format"]), int(document["migration"]), homes, document.get("dump_sha256"))
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            message = f"{FACTS} has no facts of a backup"
            raise ValueError(message) from error


@dataclass
class _Hashing:
    """A file whose bytes are hashed and counted while they are read or written."""

    file: IO[bytes]
    hash: Any = field(default_factory=hashlib.sha256)
    n_bytes: int = 0

    def read(self, size: int = -1) -> bytes:
        """Read bytes."""
        return self._noted(self.file.read(size))

    def write(self, block: bytes) -> int:
        """Write bytes."""
        return self.file.write(self._noted(block))

    def flush(self) -> None:
        """Flush the file."""
        self.file.flush()

    def _noted(self, block: bytes) -> bytes:
        """Return a block after hashing and counting it."""
        self.hash.update(block)
        self.n_bytes += len(block)
        return block

    def facts(self) -> dict[str, Any]:
        """Return size and SHA-256 of all bytes so far."""
        return {"n_bytes": self.n_bytes, "sha256": self.hash.hexdigest()}


class BackupWriter:
    """The members of a new backup, written one after another."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        """Write into an open tar."""
        self._archive = archive
        self._members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, file: IO[bytes], n_bytes: int) -> None:
        """Add the next ``n_bytes`` of an open file as a member; OSError if there are fewer.

        Raises:
            InvalidInput: no backup may have this name.
        """
        member = tarfile.TarInfo(name)
        member.size = n_bytes
        try:
            _checked_name(member)
        except ValueError as error:
            message = f"the backup was not written: {error}; rename it, then try again"
            raise InvalidInput(message) from error
        source = _Hashing(file)
        self._archive.addfile(member, source)
        self._members[name] = source.facts()

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a member with this content."""
        self.add(name, io.BytesIO(content), len(content))

    def finish(self) -> None:
        """Add the sizes and hashes of all members."""
        self.add_bytes(MEMBERS, json.dumps(self._members, indent=1).encode())


@contextlib.contextmanager
def backup_writer(path: Path) -> Iterator[BackupWriter]:
    """Yield a writer of the members of a backup in an empty file, which is complete when the block ends."""
    with path.open("r+b") as file:
        file.write(_head(bytes(DIGEST_BYTES)))
        rest = _Hashing(file)
        with (
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=rest, mtime=0) as packed,  # only written
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            writer = BackupWriter(archive)
            yield writer
            writer.finish()
        file.seek(0)
        file.write(_head(rest.hash.digest()))


def unpack(source: Path, folder: Path) -> BackupFacts:
    """Extract a backup into an empty folder, after checking every byte of it, and return its facts.

    Raises:
        InvalidInput: it is no backup, is damaged or cut, or holds something else than files and folders of a backup.
        OSError: the backup cannot be read, or the folder cannot be written.
    """
    try:
        with source.open("rb") as file:
            is_whole = _is_whole(file, source)
            members = _extract(_uncompressed(file, source), folder)
        facts = _checked_facts(members, folder)
        if facts.format > FORMAT:
            message = f"{source} was made by a newer cineclub: restore it with that release"
            raise InvalidInput(message)
        _check_members(facts, members, folder, is_whole=is_whole)
    except DAMAGES as error:
        raise _damaged(source, str(error) or type(error).__name__) from error
    return facts


def _head(digest: bytes) -> bytes:
    """Return the head of a backup whose other bytes have this SHA-256."""
    return HEAD_START + digest + HEAD_END


def _is_whole(file: IO[bytes], source: Path) -> bool:
    """Return whether a file has the head of format 2 and its hash, False without that head; the file is rewound.

    Raises:
        InvalidInput: the bytes after the head are not those that were written.
    """
    head = file.read(HEAD_BYTES)
    start = len(HEAD_START)
    has_head = len(head) == HEAD_BYTES and head == _head(head[start : start + DIGEST_BYTES])
    if has_head and hashlib.file_digest(file, "sha256").digest() != head[start : start + DIGEST_BYTES]:  # type: ignore[arg-type] # an open file
        raise _damaged(source, "its SHA-256 is not the one that was written")
    file.seek(0)
    return has_head


def _uncompressed(file: IO[bytes], source: Path) -> IO[bytes]:
    """Return the uncompressed content of a gzip or xz file, which is checked by the end of its reading."""
    start = file.read(len(XZ))
    file.seek(0)
    if start.startswith(GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value] # read as a file
    if start == XZ:
        return lzma.LZMAFile(file)
    message = f"{source} is not a backup of cineclub: use a file that `cineclub backup` made"
    raise InvalidInput(message)


def _extract(content: IO[bytes], folder: Path) -> dict[str, dict[str, Any]]:
    """Write the members of a tar into a folder, read to the very end, and return size and SHA-256 of each file."""
    members = {}
    with tarfile.open(fileobj=content, mode="r|", bufsize=tarfile.RECORDSIZE, tarinfo=_CheckedHeader) as archive:
        for member in archive:
            path = folder / _checked_name(member)
            if path.relative_to(folder).parts[0] not in {FACTS, DUMP, MEMBERS, *FOLDERS}:
                continue  # a whole home that was packed together with a dump
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if (file := archive.extractfile(member)) is None or member.issparse():
                message = f"{member.name!r} is no regular file"
                raise ValueError(message)
            members[member.name] = _written(file, path, member.size)
    while block := content.read(BLOCK):
        if block.strip(b"\x00"):
            message = "there are bytes behind its end"
            raise ValueError(message)
    return members


def _written(file: IO[bytes], path: Path, n_bytes: int) -> dict[str, Any]:
    """Write a new file of this size, and return its size and SHA-256 as they were read."""
    source = _Hashing(file)
    with path.open("xb") as target:
        while block := source.read(BLOCK):
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    if source.n_bytes != n_bytes:
        message = f"{path.name} is cut short"
        raise ValueError(message)
    return source.facts()


class _CheckedHeader(tarfile.TarInfo):
    """A header of a tar that is refused unless it is of a regular file, of a folder, or of a long name of these."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the header in a block of the tar; ValueError if it is refused."""
        header = super().frombuf(buf, encoding, errors)
        is_name = header.type in LONG_NAMES and 0 <= header.size <= MOST_HEADER_BYTES
        if not is_name and (header.type not in {*REGULAR, tarfile.DIRTYPE} or header.size < 0):
            message = f"{header.name!r} is neither a regular file nor a folder"
            raise ValueError(message)
        return header


def _checked_name(member: tarfile.TarInfo) -> str:
    """Return the name of a member; ValueError unless it is one within the folder it is extracted to."""
    parts = member.name.split("/")
    is_short = len(os.fsencode(member.name)) <= MOST_NAME_BYTES and len(parts) <= MOST_PARTS
    are_valid = all(part not in {"", ".", ".."} and len(os.fsencode(part)) <= MOST_PART_BYTES for part in parts)
    if not (is_short and are_valid) or CONTROL.search(member.name):
        message = f"{member.name[:MOST_PART_BYTES]!r} is no name of a file in a backup"
        raise ValueError(message)
    return str(PurePosixPath(*parts))


def _checked_facts(members: dict[str, dict[str, Any]], folder: Path) -> BackupFacts:
    """Return the facts of an extracted backup; ValueError if they or the dump are missing."""
    if missing := {FACTS, DUMP} - members.keys():
        message = f"it has no {min(missing)}"
        raise ValueError(message)
    return BackupFacts.from_bytes((folder / FACTS).read_bytes())


def _check_members(facts: BackupFacts, members: dict[str, dict[str, Any]], folder: Path, *, is_whole: bool) -> None:
    """Compare the extracted files with the recorded hashes; ValueError for a difference."""
    if facts.format == 1:
        if facts.dump_sha256 != members[DUMP]["sha256"]:
            message = f"the SHA-256 of {DUMP} is not the one that was written"
            raise ValueError(message)
        return
    written = {name: file for name, file in members.items() if name != MEMBERS}
    if not is_whole or MEMBERS not in members or json.loads((folder / MEMBERS).read_bytes()) != written:
        message = "its files are not those that were written"
        raise ValueError(message)


def _damaged(source: Path, fault: str) -> InvalidInput:
    """Return the error about a backup that is not as it was written."""
    return InvalidInput(f"{source} is not a backup of cineclub, or is damaged or cut short ({fault}): use another")
