"""Errors of the files of backups, restores and exports say what helps: another path, or room on this machine."""

import errno

import pytest

from cineclub.adapters.postgres.copy_errors import copy_errors
from cineclub.domain.errors import CineclubError, InvalidInput, StorageUnavailable


@pytest.mark.parametrize(
    ("code", "kind", "fix"),
    [
        (errno.ENOSPC, StorageUnavailable, "free disk space"),
        (errno.EMFILE, StorageUnavailable, "ulimit -n"),
        (errno.ENOMEM, StorageUnavailable, "the memory is used up"),
        (errno.EAGAIN, StorageUnavailable, "ulimit -u"),
        (errno.EIO, StorageUnavailable, "the disk reports an error: check it"),
        (errno.EROFS, InvalidInput, "mount it for writing, or name another file"),
        (errno.EACCES, InvalidInput, "run cineclub as its owner, or name another file"),
        (errno.ENXIO, StorageUnavailable, "cineclub doctor"),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else "",
)
def test_each_error_of_a_file_has_its_own_fix(code: int, kind: type[CineclubError], fix: str) -> None:
    """Permissions are not blamed for a limit of the machine, and no message speaks of another home."""
    with pytest.raises(kind, match="/some/file") as caught, copy_errors("nothing was exported"):
        raise OSError(code, "the system's words", "/some/file")
    assert str(caught.value).startswith("nothing was exported: ")
    assert fix in str(caught.value)
    assert "CINECLUB_HOME" not in str(caught.value)
