"""What watches the service from outside is told: drift, trainings, the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

DriftVerdict = Literal["OK", "ALERT", "NOT_ENOUGH_DATA"]


class DriftMetrics(Protocol):
    """What is known of the drift of ratings and answers."""

    def drift_checked(self, verdict: DriftVerdict, distances: Mapping[str, float], checked_at: datetime) -> None:
        """Note the newest check that was kept, with the distance of each statistic that has one.

        Told by one process alone, which reads the checks of all (the service, the command line). To be told of the same
        check again changes nothing; an alert counts once, and not if it is older than the process.
        """
        ...
