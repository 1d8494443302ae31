"""Decisions of which version serves, in a process of its own: whatever it fails with is an answer and is logged."""

import asyncio
import errno
from pathlib import Path

import pytest

from cineclub.adapters.processes.promotion_decider import PromotionDecider
from cineclub.domain.errors import RegistryUnavailable

pytestmark = pytest.mark.anyio

FULL = """
import errno
from cineclub.bootstrap import storage

def fail(_):
    raise {error}

storage.persons_promotion_flow = fail
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ('OSError(errno.ENOSPC, "No space left on device", "/srv/planted")', "the disk is full: free disk space"),
        ('ZeroDivisionError("/srv/planted")', "log has the cause"),
    ],
)
async def test_an_unforeseen_error_of_a_decision_is_answered_and_logged(
    error: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The answer says what to do, without files of this machine; the log of the API has the traceback."""
    (tmp_path / "sitecustomize.py").write_text(FULL.format(error=error))  # which the process imports when it starts
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(RegistryUnavailable, match=cause) as caught:
        await PromotionDecider("postgresql://nobody@localhost/none", tmp_path).promote(1, "a test")
    assert "/srv/planted" not in str(caught.value)
    assert "/srv/planted" in caught.value.detail
    assert "Traceback" in capfd.readouterr().err


async def test_a_machine_without_room_for_a_process_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process cannot be started: a refusal with the fix, and no error without a name."""

    async def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    with pytest.raises(RegistryUnavailable, match="ulimit -u"):
        await PromotionDecider("postgresql://nobody@localhost/none", tmp_path).roll_back("a test")
