-- name: ended
-- Ended trainings by outcome and trigger.
SELECT status AS outcome, trigger, count(*) AS n_ended, max(finished_at) AS newest_at,
    coalesce(sum(extract(epoch FROM finished_at - started_at)), 0)::float8 AS seconds
FROM cineclub.trainings
WHERE status IN ('succeeded', 'failed', 'cancelled')
GROUP BY status, trigger
ORDER BY status, trigger;

-- name: under_way
-- The numbers of queued and running trainings, and the age of the last heartbeat.
SELECT clock_timestamp() AS known_at,
    count(*) FILTER (WHERE status = 'queued') AS n_queued,
    count(*) FILTER (WHERE status = 'running') AS n_running,
    coalesce(max(extract(epoch FROM clock_timestamp() - heartbeat_at)) FILTER (WHERE status = 'running'), 0)::float8
        AS heartbeat_age_seconds
FROM cineclub.trainings
WHERE status IN ('queued', 'running');

-- name: versions
-- The number of registered versions by verdict.
SELECT verdict, count(*) AS n_versions FROM cineclub.versions WHERE withdrawn_at IS NULL GROUP BY verdict;

-- name: served
-- Whether the gate rejected the version that serves: a person may have promoted it nevertheless.
SELECT versions.verdict = 'REJECT' AS is_rejected
FROM (SELECT version, manifest_sha256 FROM cineclub.promotions ORDER BY id DESC LIMIT 1) AS served
JOIN cineclub.versions USING (version, manifest_sha256);

-- name: newest_steps
-- The duration of each step of the newest successful training.
SELECT report -> 'step_seconds' AS step_seconds
FROM cineclub.trainings
WHERE status = 'succeeded'
ORDER BY finished_at DESC
LIMIT 1;
