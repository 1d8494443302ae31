"""The chance of a false alarm, shared by the statistics of a check and by the checks of a period.

By the inequality of Bonferroni the chances of dependent events add up at most. So the promise holds for statistics of
the same ratings, for checks whose windows overlap, and for two baselines. (Holm's procedure begins with the same bound,
and the verdict of a check depends on this first step alone.)
"""

PROMISED_WINDOWS = 26
"""At most one false alarm is to be expected in so many windows: half a year of weeks."""

FLOORED_PART = 0.25
"""The part of a chance for a statistic that has limits of its own, which are wide: it needs less of the chance."""

MANY_GENRES_PART = 3.0
"""The parts for the taste by genre, which are divided by the number of genres again."""


def chance_of_check(interval_days: float, window_days: float) -> float:
    """Return the chance of a false alarm in one check, such that ``PROMISED_WINDOWS`` windows have one at most.

    Args:
        interval_days: between two checks, above 0; checks that are rarer than windows count as one a window.
        window_days: length of a window, above 0.
    """
    return min(interval_days, window_days) / (PROMISED_WINDOWS * window_days)


def chance_of_each(chance: float, n_sharing: float) -> float:
    """Return the chance for each of the events that share a chance."""
    return chance / max(n_sharing, 1.0)
