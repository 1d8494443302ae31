"""What is looked at again and again for /metrics, so that a scrape asks nobody: trainings, connections."""

from cineclub.background import Pauses, Watch
from cineclub.ports import PoolMetrics, TrainingFactsReader, TrainingMetrics, WatchedPool


def watch_of_trainings(facts: TrainingFactsReader, metrics: TrainingMetrics, every_seconds: float) -> Watch:
    """Return what keeps the trainings in /metrics as fresh as this, whichever process runs them."""

    async def look() -> None:
        metrics.trainings_known(await facts.read())

    return Watch("trainings", look, Pauses(every_seconds))


def watch_of_pool(pool: WatchedPool, metrics: PoolMetrics, every_seconds: float) -> Watch:
    """Return what keeps this process's connections in /metrics as fresh as this."""

    async def look() -> None:
        metrics.pool_used(pool.usage())

    return Watch("connections", look, Pauses(every_seconds))
