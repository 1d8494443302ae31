"""Files and folders under a temporary name until they are complete; those of killed processes are cleared.

The process that writes one holds a lock on it, which ends with the process: what is not locked is a leftover.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX, SUFFIX = ".cineclub-", ".unfinished"


@contextlib.contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder, open to this user alone, that is deleted afterwards unless the block has renamed it.

    The parent folder is created if missing, and leftovers in it are cleared.
    """
    parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(parent)
    folder, lock = _new_locked_folder(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def unfinished_file(target: Path, *, is_private: bool = False) -> Iterator[Path]:
    """Yield a new empty file beside ``target`` that takes its name if the block ends without an error.

    It is on the disk before it takes the name, and is deleted after an error. Leftovers beside it are cleared.

    Args:
        target: the path of the finished file.
        is_private: whether only this user may read it, whatever the umask is.
    """
    clear_leftovers(target.parent)
    path, descriptor = _new_locked_file(target.parent)
    try:
        if not is_private:
            path.chmod(0o666 & ~_umask())
        yield path
        os.fsync(descriptor)
        path.rename(target)
        folder_to_disk(target.parent)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Delete the unfinished files and folders of killed processes in a folder, as far as it can be written."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
            with contextlib.suppress(OSError):
                _delete_unless_locked(path)


def folder_to_disk(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_locked_folder(parent: Path) -> tuple[Path, int]:
    """Return a new locked folder and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(SUFFIX, PREFIX, parent))
        with contextlib.suppress(FileNotFoundError):  # it was cleared already: another one
            lock = os.open(folder, os.O_RDONLY)
            if _is_locked(lock, folder):
                return folder, lock


def _new_locked_file(parent: Path) -> tuple[Path, int]:
    """Return a new locked file, with mode 0600 and never through a link, and the descriptor that holds its lock."""
    while True:
        descriptor, name = tempfile.mkstemp(SUFFIX, PREFIX, parent)
        if _is_locked(descriptor, Path(name)):
            return Path(name), descriptor


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock an open file, and return whether it has its name still; else it is closed.

    Another process may have taken it for a leftover before it was locked. On a file system without locks it stays
    unlocked, and is not cleared there either.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(descriptor), path.lstat()):
            return True
    os.close(descriptor)
    return False


def _delete_unless_locked(path: Path) -> None:
    """Delete a leftover of this user; OSError if a living process holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(descriptor)
        if facts.st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(facts.st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _umask() -> int:
    """Return the umask of this process."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
