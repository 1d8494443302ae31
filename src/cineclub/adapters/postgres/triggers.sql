-- name: one_at_a_time
-- Workers look at triggers one after the other, so that each sees what the one before it started.
SELECT pg_advisory_xact_lock(%(family)s, %(triggers)s);

-- name: now
-- The clock that all workers share.
SELECT clock_timestamp() AS now;

-- name: is_under_way
-- Whether a training is queued or running.
SELECT EXISTS (SELECT FROM cineclub.trainings WHERE status IN ('queued', 'running')) AS is_under_way;

-- name: first_seen
-- Count from now on where a schedule is new.
INSERT INTO cineclub.training_schedules (line, done_until) VALUES (%(line)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: done_until
-- The due time up to which nothing is left to start.
SELECT done_until FROM cineclub.training_schedules WHERE line = %(line)s;

-- name: done
-- Nothing is left to start up to this due time.
UPDATE cineclub.training_schedules SET done_until = %(due_at)s WHERE line = %(line)s;

-- name: n_ratings_known
-- How many ratings the newest training found, or was started for; none before the first.
SELECT greatest(n_ratings_seen, (report #>> '{snapshot,n_ratings}')::bigint) AS n_ratings
FROM cineclub.trainings
WHERE n_ratings_seen IS NOT NULL OR report IS NOT NULL
ORDER BY requested_at DESC LIMIT 1;

-- name: start
-- Queue a training unless one is under way.
INSERT INTO cineclub.trainings (id, status, reason, requested_at, trigger, n_ratings_seen)
VALUES (%(training_id)s, 'queued', %(reason)s, clock_timestamp(), %(trigger)s, %(n_ratings)s)
ON CONFLICT DO NOTHING
RETURNING id;
