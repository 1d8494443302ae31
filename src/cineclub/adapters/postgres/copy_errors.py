"""Errors of the files of backups, restores and exports, raised as errors of the domain."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cineclub.domain.errors import InvalidInput, StorageUnavailable
from cineclub.runtime.file_errors import explanation_of

OF_THE_PATH = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOENT),
        *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
    }
)
"""Another path helps; with any other error this machine is at its limit."""


@contextmanager
def copy_errors(outcome: str) -> Iterator[None]:
    """Raise errors of files as errors of the domain, with the file and the fix.

    Args:
        outcome: what was not done, for the message.

    Raises:
        InvalidInput: the path of a file cannot be used.
        StorageUnavailable: the disk is full or broken, or this machine has no files, memory or processes left.
    """
    try:
        yield
    except OSError as error:
        cause = explanation_of(error, otherwise="or name another file") or f"{error}: run `cineclub doctor`"
        kind = InvalidInput if error.errno in OF_THE_PATH else StorageUnavailable
        message = f"{outcome}: {cause}"
        raise kind(message) from error
