"""Usage of the connections to PostgreSQL."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """The connections of this process to PostgreSQL.

    Attributes:
        is_away: whether PostgreSQL failed and has not answered since.
        n_open: open connections and those being opened.
        n_in_use: connections in use or being opened.
        n_waiting: requests that wait for a connection.
        n_most: the size of the pool.
        n_lent: requests for a connection since the last report.
        waited_seconds: the total time that these requests waited.
    """

    is_away: bool
    n_open: int
    n_in_use: int
    n_waiting: int
    n_most: int
    n_lent: int
    waited_seconds: float
