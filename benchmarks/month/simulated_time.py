"""Days as short as the simulated ones, in every process of a month: half-lives, days of ratings, counts, visits.

Settings in days are set to parts of a day (``MonthPlan.settings``). The rules of the crowd's counts and of judged days
are no settings: cineclub has one constant for the length of a day, which is shortened before anything else reads it.
Python imports ``startup/sitecustomize.py`` at the start of each process whose environment has these variables.
"""

import os
import sys
from pathlib import Path

DAY_VARIABLE = "SIMULATED_DAY_SECONDS"
ROOT = Path(__file__).parents[2]
STARTUP = Path(__file__).with_name("startup")
MICROSECONDS = 1_000_000
GRANULE_SECONDS = 1.0
"""The crowd's counts are read once a second, which is some hundredths of a simulated day."""

GRACE_SECONDS, WAKE_SECONDS = 0.1, 0.2
"""A read follows the grid line that much later; with the two seconds of real days it would be a part of a day old."""


def shorten_days(day_seconds: float) -> None:
    """Make a day of all later imports so short."""
    from cineclub.domain.ratings import popularity  # noqa: PLC0415 - its constant is set before others read it

    former, day = popularity.MICROSECONDS_PER_DAY, round(day_seconds * MICROSECONDS)
    popularity.ROGUE_GAP_MICROSECONDS = popularity.ROGUE_GAP_MICROSECONDS // former * day
    popularity.MICROSECONDS_PER_DAY = day

    from cineclub.domain.ratings import crowd  # noqa: PLC0415 - as above

    crowd.GRANULE_MICROSECONDS = min(crowd.GRANULE_MICROSECONDS, round(GRANULE_SECONDS * MICROSECONDS))

    from cineclub.flows import crowd as crowd_flow  # noqa: PLC0415 - as above

    crowd_flow.GRACE_SECONDS, crowd_flow.WAKE_SECONDS = GRACE_SECONDS, WAKE_SECONDS

    from cineclub.domain.recommend import impressions  # noqa: PLC0415 - as above; its other times follow from the day

    impressions.VISIT_GAP_MICROSECONDS = impressions.VISIT_GAP_MICROSECONDS * day // former


def variables(day_seconds: float) -> dict[str, str]:
    """Return the environment variables by which a process and its children have short days."""
    paths = [str(STARTUP), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {DAY_VARIABLE: f"{day_seconds:g}", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def restart_with_short_days(day_seconds: float) -> None:
    """Run the command of this process anew with short days, unless it has them."""
    if os.environ.get(DAY_VARIABLE) != f"{day_seconds:g}":
        command = [sys.executable, "-m", "benchmarks.month", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **variables(day_seconds)})  # noqa: S606 - no shell
