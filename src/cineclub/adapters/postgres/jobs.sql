-- name: start
-- Queue a training; the unique index lets exactly one be queued or running.
INSERT INTO cineclub.trainings (id, status, reason, options, requested_at)
VALUES (%(training_id)s, 'queued', %(reason)s, %(options)s, clock_timestamp())
ON CONFLICT DO NOTHING
RETURNING *;

-- name: under_way
-- Which training is queued or running.
SELECT id FROM cineclub.trainings WHERE status IN ('queued', 'running');

-- name: get
-- One training.
SELECT * FROM cineclub.trainings WHERE id = %(training_id)s;

-- name: recent
-- The newest trainings, newest first.
SELECT * FROM cineclub.trainings ORDER BY requested_at DESC, id LIMIT %(limit)s;

-- name: cancel
-- End a queued training at once, ask a running one to stop, leave a finished one.
UPDATE cineclub.trainings
SET cancel_requested = cancel_requested OR status = 'running',
    finished_at = CASE WHEN status = 'queued' THEN clock_timestamp() ELSE finished_at END,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END
WHERE id = %(training_id)s
RETURNING *;

-- name: is_worker_alive
-- Whether any worker holds the presence lock of this database.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = %(family)s AND objid = %(presence)s AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS is_alive;

-- name: be_present
-- Hold the presence lock, beside other workers, for as long as the session lives.
SELECT pg_advisory_lock_shared(%(family)s, %(presence)s);

-- name: claimable
-- The training under way, locked, with whether its worker has died: its lease is free or its heartbeat too old.
SELECT *,
    status = 'running' AND (
        heartbeat_at IS NULL
        OR heartbeat_at < clock_timestamp() - make_interval(secs => %(timeout_seconds)s)
        OR pg_try_advisory_xact_lock(hashtextextended(worker, 0))
    ) AS is_dead
FROM cineclub.trainings
WHERE status IN ('queued', 'running')
FOR UPDATE SKIP LOCKED;

-- name: take_lease
-- Hold the lease of this worker for as long as the session lives.
SELECT pg_try_advisory_lock(hashtextextended(%(worker)s, 0)) AS is_held;

-- name: run
-- Make a queued or dead training this worker's own.
UPDATE cineclub.trainings
SET status = 'running', worker = %(worker)s, attempt = attempt + 1, progress = NULL,
    started_at = clock_timestamp(), heartbeat_at = clock_timestamp()
WHERE id = %(training_id)s
RETURNING *;

-- name: bury
-- End a dead training that is not to be run again.
UPDATE cineclub.trainings
SET status = %(status)s, error = %(error)s, finished_at = clock_timestamp()
WHERE id = %(training_id)s;

-- name: beat
-- Write the heartbeat of a training that is still this worker's, with its progress where there is news.
UPDATE cineclub.trainings
SET heartbeat_at = clock_timestamp(), progress = coalesce(%(progress)s, progress)
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING cancel_requested;

-- name: end
-- End a training that is still this worker's.
UPDATE cineclub.trainings
SET status = %(status)s, error = %(error)s, report = %(report)s, finished_at = clock_timestamp()
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;

-- name: end_cancelled
-- End a training that is still this worker's and unwanted. No promotion can follow a cancel; one may have come before.
UPDATE cineclub.trainings
SET status = 'cancelled', finished_at = clock_timestamp(), error = (
        SELECT format('version %%s was promoted before the cancel came', max(version))
        FROM cineclub.promotions WHERE training_id = %(training_id)s HAVING count(*) > 0
    )
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;

-- name: interrupted
-- Queue a training again that its worker had to break off, unless it was tried often enough: the attempt counts.
UPDATE cineclub.trainings
SET status = CASE
        WHEN cancel_requested THEN 'cancelled'
        WHEN attempt >= %(max_attempts)s THEN 'failed'
        ELSE 'queued'
    END,
    error = CASE WHEN NOT cancel_requested AND attempt >= %(max_attempts)s THEN %(error)s END,
    finished_at = CASE WHEN cancel_requested OR attempt >= %(max_attempts)s THEN clock_timestamp() END,
    worker = NULL, heartbeat_at = NULL, progress = NULL
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;

-- name: put_back
-- Queue a training again that this worker leaves in good order: the attempt does not count.
UPDATE cineclub.trainings
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
    finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
    worker = NULL, heartbeat_at = NULL, progress = NULL, attempt = greatest(attempt - 1, 0)
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;
