"""What is due is started once over all workers, and says what started it."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.training_rows import worker_name
from cineclub.adapters.postgres.triggers import TrainingTriggers

YEARLY = "0 0 1 1 *"


@pytest.fixture
def jobs(database_url: str) -> PostgresTrainingJobs:
    """The queue as those who ask see it."""
    return PostgresTrainingJobs(database_url)


def scheduled(database_url: str) -> TrainingTriggers:
    """Return the triggers of a worker that trains once a year."""
    return TrainingTriggers(database_url, YEARLY, None, lambda: 0)


def counting(database_url: str, n_ratings: int) -> TrainingTriggers:
    """Return the triggers of a worker that trains for every hundred new ratings, and finds so many."""
    return TrainingTriggers(database_url, None, 100, lambda: n_ratings, seconds_between_counts=0)


def miss_due_times(database_url: str) -> None:
    """Let no worker have been there for years."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.training_schedules SET done_until = done_until - interval '5 years'")


def finish(database_url: str, n_ratings: int | None = None) -> None:
    """Let a worker end what is queued; without a number of ratings it fails."""
    lease = TrainingQueue(database_url, worker_name(), 20, 3).claim()
    assert lease is not None
    if n_ratings is None:
        lease.fail("too few ratings")
    else:
        lease.finish({"snapshot": {"n_ratings": n_ratings}})


def test_a_new_schedule_counts_from_now_on(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """What was due before anybody asked for it is not made up for."""
    assert scheduled(database_url).start_due() is None
    assert jobs.recent(5) == []


def test_missed_due_times_are_made_up_for_once(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Five years are one training, which says that the schedule started it."""
    scheduled(database_url).start_due()
    miss_due_times(database_url)
    training_id = scheduled(database_url).start_due()
    assert training_id is not None
    seen = jobs.get(training_id)
    assert (seen.trigger, seen.status) == ("schedule", "queued")
    assert (seen.reason or "").endswith("-01-01 00:00 UTC")
    finish(database_url)
    assert scheduled(database_url).start_due() is None


def test_a_due_time_waits_for_the_training_under_way(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """It is started when that one has ended."""
    scheduled(database_url).start_due()
    asked = jobs.start({}, None)
    assert jobs.get(asked.training_id).trigger == "request"
    miss_due_times(database_url)
    assert scheduled(database_url).start_due() is None
    finish(database_url)
    assert scheduled(database_url).start_due() is not None


def test_ten_workers_start_one_training(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """At the same instant, and again after it has ended."""
    scheduled(database_url).start_due()
    miss_due_times(database_url)
    with ThreadPoolExecutor(10) as pool:
        for n_started in (1, 0):
            started = list(pool.map(lambda _: scheduled(database_url).start_due(), range(10)))
            assert sum(training_id is not None for training_id in started) == n_started
            if n_started:
                finish(database_url)
    assert len(jobs.recent(5)) == 1


def test_enough_new_ratings_start_a_training(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Counted from what the newest training found, also where that training failed."""
    assert counting(database_url, 99).start_due() is None
    training_id = counting(database_url, 100).start_due()
    assert training_id is not None
    seen = jobs.get(training_id)
    assert (seen.trigger, seen.reason) == ("new_ratings", "100 new ratings")
    finish(database_url)
    assert counting(database_url, 199).start_due() is None
    assert counting(database_url, 200).start_due() is not None
    finish(database_url, n_ratings=230)
    assert counting(database_url, 329).start_due() is None
    assert counting(database_url, 330).start_due() is not None


def test_counting_is_rare_and_not_done_while_a_training_is_under_way(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """Large tables are counted once a minute at most."""
    counts: list[int] = []
    triggers = TrainingTriggers(database_url, None, 100, lambda: counts.append(1) or 0)
    for _ in range(5):
        triggers.start_due()
    assert len(counts) == 1
    jobs.start({}, None)
    TrainingTriggers(database_url, None, 100, lambda: counts.append(1) or 0).start_due()
    assert len(counts) == 1
