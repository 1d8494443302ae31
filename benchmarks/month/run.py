"""A whole month: split, imported, played, evaluated, written; its temporary folder is removed."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.month.calendar import MARGIN, shortest_window_days, split_by_time
from benchmarks.month.evaluation import Month, evaluated
from benchmarks.month.page import page_of
from benchmarks.month.plan import MonthPlan
from benchmarks.month.plots import plot_of
from benchmarks.month.report import MonthReport
from benchmarks.month.service import Past, ratings_of, running_service, temporary_folder
from benchmarks.month.simulation import Simulation
from cineclub.domain.drift.comparison import MIN_USERS
from cineclub.runtime.child_processes import stop_requests


def run_month(plan: MonthPlan, report_progress: Callable[[str], None]) -> MonthReport:
    """Return the report of a month; nothing else of it stays on this machine.

    Raises:
        MonthStopped: a person stopped it.
        CineclubError: the ratings cannot be used, or the service did not start.
    """
    started_at = time.time()
    whole = ratings_of(plan)
    calendar = split_by_time(whole.rows, plan.n_days, plan.max_daily_ratings)
    window_days = shortest_window_days(calendar, whole.rows.user_codes, round(MARGIN * MIN_USERS))
    report_progress(f"{len(calendar.past):,} ratings before the month, {calendar.n_played:,} in it")
    with stop_requests() as stop, temporary_folder() as home:
        settings = plan.settings(home, window_days)
        begins_at = time.time() + plan.preparation_seconds
        with running_service(settings, Past(whole, calendar, begins_at, plan.day_seconds)) as service:
            recording = Simulation(plan, whole, calendar, service, begins_at, report_progress).run(stop)
        month = Month(plan, whole, calendar, recording, float(window_days))
        return evaluated(month, settings, started_at, report_progress)


def write(month: MonthReport, folder: Path) -> list[Path]:
    """Write a report as JSON, page and plot into a folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        f"{month.scenario}.json": json.dumps(month.to_document(), indent=1) + "\n",
        f"{month.scenario}.html": page_of(month),
        f"{month.scenario}.svg": plot_of(month),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
