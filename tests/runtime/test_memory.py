"""The memory available to a fit, on the machine or in its container."""

from pathlib import Path

import pytest

from cineclub.runtime.machine import available_memory_bytes, free_in_container

MIB = 2**20


@pytest.fixture
def control_group(tmp_path: Path) -> Path:
    """A container of 1,000 MiB that uses 900, of which 600 are cached files."""
    (tmp_path / "memory.max").write_text(f"{1000 * MIB}\n")
    (tmp_path / "memory.current").write_text(f"{900 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {300 * MIB}\ninactive_file {500 * MIB}\nactive_file {100 * MIB}\n")
    return tmp_path


def test_files_that_the_system_keeps_count_as_free(control_group: Path) -> None:
    """Cached files count as free, since the system releases them on demand."""
    assert free_in_container(control_group) == 700 * MIB


def test_without_a_limit_nothing_is_refused(control_group: Path) -> None:
    """Without a limit, or without containers, there is no limit."""
    (control_group / "memory.max").write_text("max\n")
    assert free_in_container(control_group) is None
    assert free_in_container(control_group / "elsewhere") is None


def test_this_machine_has_memory() -> None:
    """The free memory of this machine is a plausible number of bytes."""
    free = available_memory_bytes()
    assert free is None or free > 100 * MIB
