"""The user that runs PostgreSQL: that of this process, but for root another one, as PostgreSQL refuses root."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from cineclub.domain.errors import StorageUnavailable


def server_user(data: Path) -> pwd.struct_passwd:
    """Return the user that runs the server where we are root: the owner of its data, so that they stay theirs."""
    with contextlib.suppress(OSError, KeyError):
        if uid := data.stat().st_uid:
            return pwd.getpwuid(uid)
    return _unprivileged_user()


def _unprivileged_user() -> pwd.struct_passwd:
    """Return the user that runs the server where we are root."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = "PostgreSQL cannot run as root and there is no user postgres or nobody: set CINECLUB_DATABASE_URL"
    raise StorageUnavailable(message)


def started(
    owner: pwd.struct_passwd | None,
    folder: Path,
    command: Sequence[str],
    log: int,
    before: Callable[[], None] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a program of PostgreSQL in a session of its own, so that Ctrl-C reaches us first.

    Args:
        owner: the user that runs it; None for the user of this process.
        folder: its working folder.
        command: its command line.
        log: the file descriptor of its output.
        before: called in the child first.
    """
    return subprocess.Popen(  # noqa: S603 - our own
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        preexec_fn=before,  # noqa: PLW1509 - one system call
        start_new_session=True,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
    )
