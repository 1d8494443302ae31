-- name: start
-- Queue a training; a unique index allows one queued or running training.
INSERT INTO cineclub.trainings (id, status, reason, options, requested_at)
VALUES (%(training_id)s, 'queued', %(reason)s, %(options)s, clock_timestamp())
ON CONFLICT DO NOTHING
RETURNING *;

-- name: under_way
-- The training that is queued or running.
SELECT id FROM cineclub.trainings WHERE status IN ('queued', 'running');

-- name: get
-- One training.
SELECT * FROM cineclub.trainings WHERE id = %(training_id)s;

-- name: recent
-- The newest trainings, newest first.
SELECT * FROM cineclub.trainings ORDER BY requested_at DESC, id LIMIT %(limit)s;

-- name: cancel
-- End a queued training at once, request the end of a running one, leave a finished one.
UPDATE cineclub.trainings
SET cancel_requested = cancel_requested OR status = 'running',
    finished_at = CASE WHEN status = 'queued' THEN clock_timestamp() ELSE finished_at END,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END
WHERE id = %(training_id)s
RETURNING *;

-- name: is_worker_alive
-- Whether a worker holds the presence lock of this database.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND mode = 'ShareLock' AND classid = %(family)s AND objid = %(presence)s AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS is_alive;

-- name: be_present
-- Hold the presence lock, beside other workers, for as long as the session lives, unless a restore holds it.
SELECT pg_try_advisory_lock_shared(%(family)s, %(presence)s) AS is_present;

-- name: be_present_later
-- Hold the presence lock once a restore has ended.
SELECT pg_advisory_lock_shared(%(family)s, %(presence)s);

-- name: be_alone
-- Hold the presence lock against workers for as long as the session lives, unless a session holds it.
SELECT pg_try_advisory_lock(%(family)s, %(presence)s) AS is_alone;

-- name: stay
-- Keep this session however long it waits.
SELECT set_config(name, '0', false) FROM pg_settings
WHERE name IN ('idle_session_timeout', 'statement_timeout', 'lock_timeout');

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

-- name: after_erasures
-- Wait for erasures that are being committed, so that a training that begins after an erasure does not read the user.
LOCK TABLE cineclub.erasures IN SHARE MODE;

-- name: run
-- Make a queued or dead training this worker's own.
UPDATE cineclub.trainings
SET status = 'running', worker = %(worker)s, attempt = attempt + 1, progress = NULL,
    started_at = clock_timestamp(), heartbeat_at = clock_timestamp()
WHERE id = %(training_id)s
RETURNING *;

-- name: bury
-- End a dead training that is not run again.
UPDATE cineclub.trainings
SET status = %(status)s, error = %(error)s, finished_at = clock_timestamp()
WHERE id = %(training_id)s;

-- name: beat
-- Write the heartbeat of a training that is still this worker's, with its progress if it is given.
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
-- End a cancelled training that is still this worker's. No promotion can follow a cancel; one may precede it.
UPDATE cineclub.trainings
SET status = 'cancelled', finished_at = clock_timestamp(), error = (
        SELECT format('version %%s was promoted before the cancel came', max(version))
        FROM cineclub.promotions WHERE training_id = %(training_id)s HAVING count(*) > 0
    )
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;

-- name: interrupted
-- Queue an interrupted training again, unless it has used all its attempts: the attempt counts.
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
-- Queue a training again because its worker stops: the attempt does not count.
UPDATE cineclub.trainings
SET status = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
    finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END,
    worker = NULL, heartbeat_at = NULL, progress = NULL, attempt = greatest(attempt - 1, 0)
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
RETURNING id;
