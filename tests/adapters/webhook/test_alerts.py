"""Alerts arrive at a real HTTP server, are tried again, and never fail or give the address away."""

import asyncio

import pytest
from alert_receiver import alert_receiver

from cineclub.adapters.webhook import Webhook

MESSAGE = {"verdict": "ALERT", "summary": "Horror moved", "check_id": 12, "checked_at": "2026-05-01T04:00:00+00:00"}
AT_ONCE = (0.0, 0.0)


def sent(url: str, pauses_seconds: tuple[float, ...] = AT_ONCE) -> tuple[bool, int]:
    """Return whether a message arrived, and how many were lost."""
    lost: list[None] = []
    arrived = asyncio.run(Webhook(url, lambda: lost.append(None), pauses_seconds).tell(MESSAGE))
    return arrived, len(lost)


def test_an_alert_arrives_as_json() -> None:
    """Once, with everything that was said."""
    with alert_receiver() as receiver:
        assert sent(receiver.url) == (True, 0)
    assert receiver.messages == [MESSAGE]


def test_a_server_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """A third try that succeeds is a success; the log has the status and not the address."""
    with alert_receiver(500, 429) as receiver:
        assert sent(receiver.url) == (True, 0)
    assert len(receiver.messages) == 3
    assert "status 500" in caplog.text
    assert "opensesame" not in caplog.text


def test_an_alert_that_nobody_takes_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    """After the last try it is lost, whatever the cause; nothing is raised."""
    with alert_receiver(500, 500, 500) as receiver:
        assert sent(receiver.url) == (False, 1)
    assert sent(receiver.url) == (False, 1)
    assert sent("http://[::bad/opensesame") == (False, 1)
    assert "opensesame" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_address_that_has_moved_is_no_delivery(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect is a failure, though the page that it leads to answers with 200."""
    with alert_receiver(status, status, status) as receiver:
        assert sent(receiver.url) == (False, 1)
    assert len(receiver.messages) == 3
    assert f"status {status}" in caplog.text
