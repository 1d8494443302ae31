"""Schedules: cron lines of five fields in UTC."""

from datetime import datetime

from cronsim import CronSim, CronSimError

from cineclub.domain.errors import InvalidInput

N_FIELDS = 5


def newest_due(line: str, now: datetime) -> datetime | None:
    """Return the newest time up to ``now``, in UTC, at which a line was due; None if it never was.

    Raises:
        InvalidInput: the line is not a schedule, or no date satisfies it.
    """
    fields = line.split()
    if len(fields) != N_FIELDS:
        message = (
            f"a schedule has five fields (minute, hour, day, month, weekday), as in '0 4 * * *', not {len(fields)}"
        )
        raise InvalidInput(message)
    try:
        # from a whole second CronSim goes back to the one before; ``now`` itself may be due, so start within it
        return next(CronSim(line, now.replace(microsecond=1), reverse=True), None)
    except CronSimError as error:
        message = f"{line!r} is no schedule ({error}): write minute, hour, day, month and weekday, as in '0 4 * * *'"
        raise InvalidInput(message) from error
