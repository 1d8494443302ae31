"""PostgreSQL's own programs, run beside this process."""

import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from cineclub.adapters.postgres.server_programs import packaged_binaries
from cineclub.domain.errors import InvalidInput, StorageUnavailable
from cineclub.runtime.child_processes import end_with_parent

HIDDEN = (b"*", b"D")
"""The marks of libpq on parameters that nobody may see, such as passwords and keys of SCRAM."""


def run_on_database(database_url: str, output: IO[bytes], program: str, *arguments: str) -> None:
    """Run a program on the database, its output into an open file; the password is in its environment alone.

    Raises:
        StorageUnavailable: the program fails; the message has its last line.
    """
    options = Conninfo.get_defaults()
    hidden = {option.keyword.decode(): option.envvar for option in options if option.dispchar in HIDDEN}
    parameters = conninfo_to_dict(database_url)
    address = make_conninfo("", **{name: value for name, value in parameters.items() if name not in hidden})
    environment = {
        variable.decode(): str(parameters[name]) for name, variable in hidden.items() if variable and name in parameters
    }
    arguments = (f"--dbname={address}", *arguments)
    with _started(program, arguments, output.fileno(), environment):
        pass


@contextmanager
def output_of(program: str, *arguments: str) -> Iterator[IO[bytes]]:
    """Yield what a program that reads a file prints, to be read to its end.

    Raises:
        InvalidInput: the program cannot read the file; the message has its last line.
        StorageUnavailable: the program was ended, or has no room.
    """
    with _started(program, arguments, subprocess.PIPE, {}, reads_file=True) as process:
        yield process.stdout or os.fdopen(os.open(os.devnull, os.O_RDONLY), "rb")


@contextmanager
def _started(
    program: str, arguments: tuple[str, ...], stdout: int, environment: dict[str, str], *, reads_file: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running program that ends with this process, and raise its failure if it has failed."""
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(  # noqa: S603 - PostgreSQL's own
            [str(packaged_binaries().folder / program), *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=errors,
            preexec_fn=end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - one system call
        ) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode("utf-8", "replace")
            raise _failure(program, process.returncode, text, reads_file=reads_file)


def _failure(program: str, exit_code: int, text: str, *, reads_file: bool) -> StorageUnavailable | InvalidInput:
    """Return the error about a program that failed with this text."""
    if exit_code == -signal.SIGXFSZ or os.strerror(errno.ENOSPC) in text:
        return StorageUnavailable(f"{program} has no room for its output: free disk space, then try again")
    lines = text.strip().splitlines() or [f"exit status {exit_code}"]
    if reads_file and exit_code > 0:
        return InvalidInput(f"{program} cannot read the backup's dump ({lines[-1]}): use another backup")
    return StorageUnavailable(f"{program} failed ({lines[-1]}): run `cineclub doctor`, then try again")
