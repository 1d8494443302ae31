"""Imported by Python at the start of each process of a simulated month (``benchmarks.month.simulated_time``)."""

import os

if day_seconds := os.environ.get("SIMULATED_DAY_SECONDS"):
    from benchmarks.month.simulated_time import shorten_days

    shorten_days(float(day_seconds))
