"""The first step of every process of ours: files for their owner alone, and output without secrets."""

import contextlib
import os
from pathlib import Path
from stat import S_ISDIR

from cineclub.runtime.redaction import hide_environment, redact_logs, redact_streams

OWNER_ALONE = 0o077
"""The umask of every process: what it writes may hold ratings or passwords, and is readable by its owner alone."""
OWNER_ALONE_FOR_ROOT = 0o066
"""Root runs the embedded server as another user, who must be able to pass through the state folder, not to list it."""


def begin_process(*, in_background: bool = True) -> None:
    """Prepare this process, whatever umask it was started with.

    Args:
        in_background: whether its output is a log. The command line prints a new key once, and chooses itself.
    """
    os.umask(OWNER_ALONE if os.geteuid() else OWNER_ALONE_FOR_ROOT)
    hide_environment(os.environ)
    redact_logs()
    if in_background:
        redact_streams()


def close_to_others(folder: Path) -> None:
    """Close the folders of a state folder to other users, where an earlier release left them open."""
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # an unfinished file of another process that has ended
            status = place.lstat()
            is_ours = S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and place.name != POSTGRES
            if is_ours and status.st_mode & OWNER_ALONE:
                place.chmod(0o700)


POSTGRES = "postgres"
"""The folder of the embedded server, which root gives to another user: it closes its own folders."""
