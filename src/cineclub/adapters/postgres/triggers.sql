-- name: one_at_a_time
-- Exclude other workers, so that each sees the trainings that others have started.
SELECT pg_advisory_xact_lock(%(family)s, %(triggers)s);

-- name: now
-- The clock that all workers share.
SELECT clock_timestamp() AS now;

-- name: is_under_way
-- Whether a training is queued or running.
SELECT EXISTS (SELECT FROM cineclub.trainings WHERE status IN ('queued', 'running')) AS is_under_way;

-- name: first_seen
-- Store a new schedule; due times count from now on.
INSERT INTO cineclub.training_schedules (line, done_until) VALUES (%(line)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: done_until
-- The due time up to which all trainings were started.
SELECT done_until FROM cineclub.training_schedules WHERE line = %(line)s;

-- name: done
-- Record that all trainings up to a due time were started.
UPDATE cineclub.training_schedules SET done_until = %(due_at)s WHERE line = %(line)s;

-- name: n_ratings_known
-- The number of ratings that the newest training read or was started for; no row before the first.
SELECT greatest(n_ratings_seen, (report #>> '{snapshot,n_ratings}')::bigint) AS n_ratings
FROM cineclub.trainings
WHERE n_ratings_seen IS NOT NULL OR report IS NOT NULL
ORDER BY requested_at DESC LIMIT 1;

-- name: is_owed
-- Whether a user was erased since the newest training began or was requested; it may have read their ratings.
SELECT (SELECT max(erased_at) FROM cineclub.erasures) >= coalesce(
    (SELECT max(greatest(requested_at, started_at)) FROM cineclub.trainings), '-infinity'
) AS is_owed;

-- name: start
-- Queue a training unless one is under way.
INSERT INTO cineclub.trainings (id, status, reason, requested_at, trigger, n_ratings_seen)
VALUES (%(training_id)s, 'queued', %(reason)s, clock_timestamp(), %(trigger)s, %(n_ratings)s)
ON CONFLICT DO NOTHING
RETURNING id;
