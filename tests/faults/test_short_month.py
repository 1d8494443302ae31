"""Three simulated days with every event: the service detects each fault and recovers by itself."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.month.events import TITLES
from benchmarks.month.plan import MonthPlan
from benchmarks.month.run import run_month, write

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def test_a_month_of_three_days_with_every_event_recovers_without_a_person(tmp_path: Path) -> None:
    """Nothing is lost, no request fails without an outage, and each event is detected and recovered."""
    lines: list[str] = []
    plan = MonthPlan(
        None,
        n_days=3,
        scenario="all",
        day_seconds=18.0,
        max_daily_ratings=25,
        preparation_seconds=30.0,
        models=("popular", "ease"),  # trainings that are shorter than a day, so that none is skipped
    )
    month = run_month(plan, lines.append)
    what_happened = "\n".join(
        [*lines, *(f"{promise.text}: {promise.finding}" for promise in month.promises), *map(str, month.events)]
    )
    assert {event.kind for event in month.events} == set(TITLES), what_happened
    assert month.traffic.n_ratings_lost == 0, what_happened
    assert month.traffic.n_failed_outside_events == 0, what_happened
    assert not any(promotion.is_worse for promotion in month.promotions), what_happened
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
    """After Ctrl-C the temporary folder and all its processes are gone."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "80"}
    running = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.month", "--days", "3"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
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
