"""Days of a month are short in every process that it starts."""

import json
import os
import subprocess
import sys

from benchmarks.month.simulated_time import variables
from cineclub.domain.ratings import crowd, popularity
from cineclub.domain.recommend import impressions
from cineclub.flows import crowd as crowd_flow

PRINT = """
import json
from cineclub.domain.evaluation import prequential
from cineclub.domain.ratings import crowd, popularity
from cineclub.domain.recommend import impressions
from cineclub.flows import crowd as crowd_flow
visit = impressions.Visit(0, impressions.NO_IMPRESSIONS)
print(json.dumps([crowd.decay(26_000_000)[0, 0], crowd.STANDSTILL_MICROSECONDS, crowd.GRANULE_MICROSECONDS,
    prequential.MICROSECONDS_PER_DAY, popularity.ROGUE_GAP_MICROSECONDS, impressions.REMEMBERED_MICROSECONDS,
    crowd_flow.GRACE_SECONDS, crowd_flow.WAKE_SECONDS,
    *(visit.goes_on(moment - pause, moment) for moment, pause in ((6_000_000, 541_000), (6_000_000, 542_000),
    (12_999_999, 1), (13_000_000, 1)))]))
"""


def test_a_process_of_a_month_has_short_days_and_this_one_has_not() -> None:
    """Two days of 13 seconds quarter a like of half-life one day; days, standstill, grid and visits are as short."""
    environment = {**os.environ, **variables(13.0)}
    run = subprocess.run([sys.executable, "-c", PRINT], env=environment, capture_output=True, text=True, check=True)
    *figures, short_pause, hour, short_visit, day = json.loads(run.stdout)
    assert figures == [0.25, 7 * 13_000_000, 1_000_000, 13_000_000, 30 * 13_000_000, 14 * 13_000_000, 0.1, 0.2]
    assert (short_pause, hour) == (True, False)
    assert (short_visit, day) == (True, False)
    assert popularity.MICROSECONDS_PER_DAY == 86_400_000_000
    assert crowd.GRANULE_MICROSECONDS == 300_000_000
    assert impressions.VISIT_GAP_MICROSECONDS == 3_600_000_000
    assert (crowd_flow.GRACE_SECONDS, crowd_flow.WAKE_SECONDS) == (2.0, 2.0)
