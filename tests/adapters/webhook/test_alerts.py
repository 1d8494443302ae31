"""Alerts sent to a real HTTP server: retries, losses, and no address in logs."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from alert_receiver import alert_receiver

from cineclub.adapters.webhook import Webhook, alerts

MESSAGE = {"verdict": "ALERT", "summary": "Horror moved", "check_id": 12, "checked_at": "2026-05-01T04:00:00+00:00"}
AT_ONCE = (0.0, 0.0)


def sent(url: str, retry_seconds: tuple[float, ...] = AT_ONCE) -> tuple[bool, int]:
    """Return whether a message arrived, and the number of lost ones."""
    lost: list[None] = []
    arrived = asyncio.run(Webhook(url, lambda: lost.append(None), retry_seconds).send(MESSAGE))
    return arrived, len(lost)


def test_an_alert_arrives_as_json() -> None:
    """The alert is posted once, with the whole message."""
    with alert_receiver() as receiver:
        assert sent(receiver.url) == (True, 0)
    assert receiver.messages == [MESSAGE]


def test_a_server_that_fails_gets_the_alert_again(caplog: pytest.LogCaptureFixture) -> None:
    """A third try that succeeds is a success; the log has the status and not the address."""
    with alert_receiver(500, 429) as receiver:
        assert sent(receiver.url) == (True, 0)
    assert len(receiver.messages) == 3
    assert "status 500" in caplog.text
    assert "opensesame" not in caplog.text


def test_an_alert_that_nobody_takes_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    """After the last attempt the alert counts as lost, whatever the cause; nothing is raised."""
    with alert_receiver(500, 500, 500) as receiver:
        assert sent(receiver.url) == (False, 1)
    assert sent(receiver.url) == (False, 1)
    assert sent("http://[::bad/opensesame") == (False, 1)
    assert "opensesame" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_address_that_has_moved_is_no_delivery(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A redirect counts as a failure, even if its target responds with 200."""
    with alert_receiver(status, status, status) as receiver:
        assert sent(receiver.url) == (False, 1)
    assert len(receiver.messages) == 3
    assert f"status {status}" in caplog.text


@contextlib.contextmanager
def dripping_receiver(seconds_per_byte: float) -> Iterator[str]:
    """Yield the address of a receiver that sends a head without end, one byte at a time."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=drip_to, args=(connection,), daemon=True).start()

        def drip_to(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                connection.sendall(b"HTTP/1.1 200 ")
                while True:
                    time.sleep(seconds_per_byte)
                    connection.sendall(b"x")

        threading.Thread(target=drip, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hooks/opensesame"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_drips_is_given_up_in_all(
    scheme: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that sends a byte before each timeout gets no more than the total time, and no timer stays."""
    monkeypatch.setattr(alerts, "TOTAL_SECONDS", 1.0)
    with dripping_receiver(0.1) as url:
        began = time.monotonic()
        assert sent(url.replace("http", scheme, 1), (0.0,)) == (False, 1)
        assert time.monotonic() - began < 60
    assert len(caplog.records) == 2
    assert "opensesame" not in caplog.text
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
