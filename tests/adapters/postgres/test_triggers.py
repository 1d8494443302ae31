"""Due trainings are started once over all workers, with their trigger."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from cineclub.adapters.postgres.jobs import PostgresTrainingJobs, TrainingQueue
from cineclub.adapters.postgres.lease import TrainingLease
from cineclub.adapters.postgres.people import PostgresPeople
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
    """Return the triggers of a worker that trains for every hundred new ratings, with a given count of ratings."""
    return TrainingTriggers(database_url, None, 100, lambda: n_ratings, seconds_between_counts=0)


def miss_due_times(database_url: str) -> None:
    """Move the last due time years into the past."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE cineclub.training_schedules SET done_until = done_until - interval '5 years'")


def finish(database_url: str, n_ratings: int | None = None) -> None:
    """End the queued training in a worker; without a number of ratings it fails."""
    lease = TrainingQueue(database_url, worker_name(), 20, 3).claim()
    assert lease is not None
    if n_ratings is None:
        lease.fail("too few ratings")
    else:
        lease.finish({"snapshot": {"n_ratings": n_ratings}})


def test_a_new_schedule_counts_from_now_on(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Due times before the schedule was set are not made up for."""
    assert scheduled(database_url).start_due() is None
    assert jobs.recent(5) == []


def test_missed_due_times_are_made_up_for_once(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Five missed years start one training, with the trigger schedule."""
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
    """The due training starts after the current one has ended."""
    scheduled(database_url).start_due()
    training = jobs.start({}, None)
    assert jobs.get(training.training_id).trigger == "request"
    miss_due_times(database_url)
    assert scheduled(database_url).start_due() is None
    finish(database_url)
    assert scheduled(database_url).start_due() is not None


def test_ten_workers_start_one_training(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """Ten workers start one training at the same instant, and one after it has ended."""
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
    """New ratings are counted since the newest training, also where it failed."""
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
    """Ratings are counted once a minute at most, and not during a training."""
    counts: list[int] = []
    triggers = TrainingTriggers(database_url, None, 100, lambda: counts.append(1) or 0)
    for _ in range(5):
        triggers.start_due()
    assert len(counts) == 1
    jobs.start({}, None)
    TrainingTriggers(database_url, None, 100, lambda: counts.append(1) or 0).start_due()
    assert len(counts) == 1


WHY = "somebody was erased"


def erase_somebody(database_url: str) -> None:
    """Add a user and erase them."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO cineclub.users (external_id) VALUES ('ann')")
    PostgresPeople(database_url).erase("ann")


def claimed(database_url: str) -> TrainingLease:
    """Claim the queued training."""
    lease = TrainingQueue(database_url, worker_name(), 20, 3).claim()
    assert lease is not None
    return lease


def test_whoever_was_erased_while_a_training_ran_is_owed_another(database_url: str, jobs: PostgresTrainingJobs) -> None:
    """After a training with erasures one more is queued, once for all of them and workers, however it ended."""
    triggers = scheduled(database_url)
    assert triggers.start_owed(WHY) is None
    jobs.start({}, None)
    lease = claimed(database_url)
    erase_somebody(database_url)
    erase_somebody(database_url)
    assert triggers.start_owed(WHY) is None
    lease.finish({"snapshot": {"n_ratings": 1}})
    with ThreadPoolExecutor(10) as pool:
        started = list(pool.map(lambda _: scheduled(database_url).start_owed(WHY), range(10)))
    (training_id,) = [training_id_or_none for training_id_or_none in started if training_id_or_none is not None]
    assert (jobs.get(training_id).status, jobs.get(training_id).reason) == ("queued", WHY)
    finish(database_url)
    assert triggers.start_owed(WHY) is None
    erase_somebody(database_url)
    assert triggers.start_owed(WHY) is not None


def test_a_training_that_starts_over_after_an_erasure_owes_nothing(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """A training that starts over reads the ratings again; a waiting one had read none."""
    jobs.start({}, None)
    lease = claimed(database_url)
    erase_somebody(database_url)
    lease.put_back()
    lease.close()
    finish(database_url)
    assert scheduled(database_url).start_owed(WHY) is None
    jobs.start({}, None)
    erase_somebody(database_url)
    finish(database_url)
    assert scheduled(database_url).start_owed(WHY) is None


def test_no_training_begins_before_an_erasure_under_way_is_committed(
    database_url: str, jobs: PostgresTrainingJobs
) -> None:
    """A training begins only after an erasure in progress is committed, so that it does not read the old ratings."""
    jobs.start({}, None)
    with psycopg.connect(database_url) as erasing, ThreadPoolExecutor(1) as pool:
        erased_at = erasing.execute("INSERT INTO cineclub.erasures (user_id) VALUES (1) RETURNING erased_at").fetchone()
        claiming = pool.submit(claimed, database_url)
        with pytest.raises(TimeoutError):
            claiming.result(0.5)
        erasing.commit()
        lease = claiming.result(10)
    assert lease.training.started_at is not None
    assert erased_at is not None
    assert lease.training.started_at > erased_at[0]
    lease.finish({})
    assert scheduled(database_url).start_owed(WHY) is None
