"""Secrets planted in settings and environment, and a search for them in everything that the product lets out."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from cineclub.settings import Settings

CINECLUB = str(Path(sys.executable).with_name("cineclub"))
MARKER = "pl4nted"
"""Part of every planted secret: whoever shows one, or a piece of one, shows it in some case or encoding."""
POLL_SECONDS = 0.05
TIMEOUT_SECONDS = 170
PASSWORD_OF_DATABASE = f"{MARKER}-db/p@ss w#rd"
PASSWORD_OF_MLFLOW = f"{MARKER}-ml&'flow"
OF_THE_ENVIRONMENT = {
    name: f"{MARKER}-{name.lower()}"
    for name in (
        "PGPASSWORD",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AZURE_STORAGE_ACCESS_KEY",
        "SOMEBODYS_API_KEY",
    )
} | {"MLFLOW_S3_ENDPOINT_URL": f"http://ann:{MARKER}-s3@127.0.0.1:9"}
WEBHOOK = f"http://127.0.0.1:9/services/{MARKER}-token?key={MARKER}-key"
MALFORMED = (
    "{scheme}://ann:pl4nted%zz@db.example/films",
    "{scheme}://ann:pl4nted x@db.example/films",
    "{scheme}://ann:pl4nted@[::1",
    "{scheme}://ann:pl4nted@x@db.example/films",
    "{scheme}://ann:pl4nted/x@db.example/films",
    "{scheme}://ann:pl4nted@db.example:port/films",
    "{scheme}://ann:x@db.example:pl4nted/films",
    "{scheme}:/ann:pl4nted@db.example/films",
    "host=db.example password=pl4nted",
)


def secret_settings() -> list[str]:
    """Return the settings that are secrets, whichever there are."""
    return [name for name, setting in Settings.model_fields.items() if SecretStr.__name__ in str(setting.annotation)]


def database_address(password: str, tail: str) -> str:
    """Return an address of a PostgreSQL with a password."""
    return f"postgresql://owner:{quote(password, safe='')}@{tail}"


@dataclass
class Search:
    """What the product let out, and where a planted secret was in it."""

    n_texts: int = 0
    n_bytes: int = 0
    found_in: list[str] = field(default_factory=list)
    markers: set[str] = field(default_factory=lambda: {MARKER})

    def note(self, where: str, text: str | bytes) -> None:
        """Search one text."""
        shown = text if isinstance(text, str) else text.decode(errors="replace")
        self.n_texts += 1
        self.n_bytes += len(shown)
        for marker in self.markers:
            position = shown.lower().find(marker.lower())
            if position >= 0:
                self.found_in.append(f"{where}: …{shown[max(0, position - 200) : position + 60]}…")

    def note_files(self, folder: Path) -> int:
        """Search every file of a folder, and return how many there are."""
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        for path in files:
            self.note(str(path), path.read_bytes())
        return len(files)


@dataclass
class Installation:
    """A state folder with the variables of its processes, which start with the widest umask."""

    home: Path
    variables: Mapping[str, str]
    search: Search

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a process."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
        return {**clean, **OF_THE_ENVIRONMENT, "CINECLUB_HOME": str(self.home), **self.variables, **more}

    def run(self, *command: str, shows_key: bool = False, **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of cineclub, or with ``-m`` a module, to its end, and search what it prints."""
        program = [sys.executable, *command] if command[0] == "-m" else [CINECLUB, *command]
        finished = subprocess.run(
            program,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            umask=0,
            input="",
            cwd=self.home,
        )
        self.search.note(f"stderr of {' '.join(command)} {more}", finished.stderr)
        if not shows_key:
            self.search.note(f"stdout of {' '.join(command)} {more}", finished.stdout)
        return finished

    @contextlib.contextmanager
    def service(self, name: str, *command: str, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a command for the duration of the block, and search what it prints."""
        printed = self.home.parent / f"{name}.txt"
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [CINECLUB, *command], env=self.environment(**more), stdout=output, stderr=output, umask=0, cwd=self.home
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)
        self.search.note(f"output of {name}", printed.read_bytes())


def open_files(home: Path) -> list[str]:
    """Return the files of a state folder that others can read or write, PostgreSQL's programs aside."""
    files = [path for path in home.rglob("*") if path.is_file() and "programs" not in path.parts]
    return [f"{path} {path.stat().st_mode & 0o777:o}" for path in files if path.stat().st_mode & 0o077]


@contextlib.contextmanager
def command_lines(search: Search) -> Iterator[list[int]]:
    """Search the command lines of all processes, as ``ps`` shows them, for the duration of the block."""
    is_over, counts = threading.Event(), [0]
    own = {os.getpid(), os.getppid()}

    def poll() -> None:
        while not is_over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if int(process.name) not in own:
                        search.note("a command line", (process / "cmdline").read_bytes())
                        counts[0] += 1
            time.sleep(POLL_SECONDS)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield counts
    finally:
        is_over.set()
        thread.join()
