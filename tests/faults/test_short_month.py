"""Three simulated days with everything that can be injected: the loop finds each trouble and heals by itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cineclub.domain.replay.events import WORDS
from cineclub.replay.plan import MonthPlan
from cineclub.replay.run import replay, write

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_a_month_of_three_days_with_every_event_heals_without_a_person(tmp_path: Path) -> None:
    """Nothing is lost, nothing fails but what an outage explains, and each event is noticed and over."""
    lines: list[str] = []
    plan = MonthPlan(None, n_days=3, scenario="all", day_seconds=18.0, most_a_day=25, preparation_seconds=30.0)
    month = replay(plan, lines.append)
    what_happened = "\n".join(
        [*lines, *(f"{one.text}: {one.found}" for one in month.promises), *map(str, month.events)]
    )
    assert {event.kind for event in month.events} == set(WORDS), what_happened
    assert month.traffic.n_ratings_lost == 0, what_happened
    assert month.traffic.n_failed_outside_events == 0, what_happened
    assert not any(one.is_worse for one in month.promotions), what_happened
    for event in month.events:
        assert event.detected_after_days is not None, what_happened
        is_last = event.kind == "bad_ratings"  # no check comes after the last of these days
        assert event.is_cut_short if is_last else event.recovered_after_days is not None, what_happened
    assert all(len(line) <= 80 for line in lines)
    written = write(month, tmp_path)
    assert json.loads(written[0].read_text())["scenario"] == "all"
    page = written[1].read_text()
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("over HTTP", "")


def test_ctrl_c_ends_a_month_with_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """The throw-away folder is gone, and so is every process that used it."""
    code = "from cineclub.cli.main import main; main()"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "80"}
    running = subprocess.Popen(
        [sys.executable, "-c", code, "replay", "--days", "3"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    lines = iter(running.stderr.readline, "")
    assert any("first training" in line for line in lines)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "the month was stopped" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(str(tmp_path).encode() in command for command in commands)
