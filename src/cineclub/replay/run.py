"""A whole month from beginning to end: cut, imported, lived through, judged, written down; the folder is removed."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from cineclub.children import stop_requests
from cineclub.domain.drift import MIN_USERS
from cineclub.domain.replay.calendar import cut, window_days_for
from cineclub.domain.replay.report import MonthReport
from cineclub.replay.director import Director
from cineclub.replay.judging import Month, judged
from cineclub.replay.page import page_of, picture_of
from cineclub.replay.plan import MonthPlan
from cineclub.replay.stage import Past, ratings_of, running_stage, throw_away_folder

SPARE = 1.25
"""A window has so many times the people that a check of drift needs, or a quiet one could not be checked."""


def replay(plan: MonthPlan, tell: Callable[[str], None]) -> MonthReport:
    """Return what a month has shown; nothing of it stays on this machine.

    Raises:
        MonthStopped: a person stopped it.
        CineclubError: the ratings cannot be used, or the service did not start.
    """
    begun_at = time.time()
    whole = ratings_of(plan)
    calendar = cut(whole.rows, plan.n_days, plan.most_a_day)
    window_days = window_days_for(calendar, whole.rows.user_codes, round(SPARE * MIN_USERS))
    tell(f"{len(calendar.past):,} ratings before the month, {calendar.n_played:,} in it")
    with stop_requests() as stop, throw_away_folder() as home:
        settings = plan.settings(home, window_days)
        begins_at = time.time() + plan.preparation_seconds
        with running_stage(settings, Past(whole, calendar, begins_at, plan.day_seconds)) as stage:
            played = Director(plan, whole, calendar, stage, begins_at, tell).lead(stop)
        return judged(Month(plan, whole, calendar, played, float(window_days)), settings, begun_at, tell)


def write(month: MonthReport, folder: Path) -> list[Path]:
    """Write a report as JSON, page and picture into a folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        f"{month.scenario}.json": json.dumps(month.to_document(), indent=1) + "\n",
        f"{month.scenario}.html": page_of(month),
        f"{month.scenario}.svg": picture_of(month),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]
