-- name: newest
-- The promotion that decides which version serves.
SELECT * FROM cineclub.promotions ORDER BY id DESC LIMIT 1;

-- name: history
-- The promotions, newest first.
SELECT * FROM cineclub.promotions WHERE id < coalesce(%(before)s::bigint, 9223372036854775807)
ORDER BY id DESC LIMIT %(limit)s;

-- name: holder
-- The worker that holds a training.
SELECT worker, status FROM cineclub.trainings WHERE id = %(training_id)s;

-- name: lock_training
-- The training, locked until the promotion is recorded, if it is still this worker's.
SELECT cancel_requested, trigger FROM cineclub.trainings
WHERE id = %(training_id)s AND worker = %(worker)s AND status = 'running'
FOR UPDATE;

-- name: one_at_a_time
-- Promotions are recorded one after the other, so that each knows the one before it.
SELECT pg_advisory_xact_lock(%(family)s, %(promotion)s);

-- name: append
-- Record the version that serves from now on.
INSERT INTO cineclub.promotions
    (promoted_at, version, previous_version, verdict, reason, promoted_by, training_id, recipe, manifest_sha256,
     artifact_folder)
VALUES
    (clock_timestamp(), %(version)s, (SELECT version FROM cineclub.promotions ORDER BY id DESC LIMIT 1), %(verdict)s,
     %(reason)s, %(promoted_by)s, %(training_id)s, %(recipe)s, %(manifest_sha256)s, %(artifact_folder)s)
RETURNING *;

-- name: announce
-- Notify the processes that serve.
SELECT pg_notify(%(channel)s, %(version)s);
