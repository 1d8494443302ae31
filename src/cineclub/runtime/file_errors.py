"""Errors of files and of the system that a person can fix, with how."""

import errno

OTHER_HOME = "or set CINECLUB_HOME to a folder that you can write"
FIXES = {
    errno.ENOSPC: "the disk is full: free disk space, then try again",
    errno.EDQUOT: "the disk quota is used up: free disk space, then try again",
    errno.EFBIG: "the file is too large for the disk or a limit (ulimit -f): free disk space, or raise the limit",
    errno.EROFS: "the disk is read-only: mount it for writing, {otherwise}",
    errno.EACCES: "this user may not use it: run cineclub as its owner, {otherwise}",
    errno.EPERM: "it belongs to another user: run cineclub as its owner, {otherwise}",
    errno.ENAMETOOLONG: "the path is too long: choose a shorter one (CINECLUB_HOME for the state folder)",
    errno.ENOENT: "it does not exist: name another file",
    errno.EEXIST: "a file is in the way: remove it, or choose another path",
    errno.ENOTDIR: "a part of the path is a file: remove it, or choose another path",
    errno.EISDIR: "it is a folder: choose the path of a file",
    errno.ELOOP: "its symbolic links form a circle: remove them, or choose another path",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine: close some, or raise its limit",
    errno.ENOMEM: "the memory is used up: stop other programs, or use a machine with more",
    errno.EAGAIN: "no further process can be started: raise the limit (ulimit -u), or stop other programs",
    errno.EIO: "the disk reports an error: check it",
}


def fix_of(error: OSError, otherwise: str = OTHER_HOME) -> str | None:
    """Return what is the matter and how to fix it, without the file's name; None for what nobody can fix by that.

    ``otherwise`` is the other way out where this user may not write.
    """
    fix = FIXES.get(error.errno or 0)
    return fix and fix.format(otherwise=otherwise)


def explanation_of(error: OSError, otherwise: str = OTHER_HOME) -> str | None:
    """Return what is the matter with which file, and how to fix it; None for an error that nobody can fix by that."""
    fix = fix_of(error, otherwise)
    return f"{error.filename}: {fix}" if fix and error.filename else fix


def cause_of(error: OSError) -> str:
    """Return what is the matter, for readers who must not see the names of this machine's files."""
    return fix_of(error) or error.strerror or type(error).__name__
