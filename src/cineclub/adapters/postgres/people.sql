-- name: begin
-- Wait for an import as a whole before anything else is locked, or the two would wait for each other; not for long.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    LOCK TABLE cineclub.ratings IN ROW EXCLUSIVE MODE;
END
$$;

-- name: lock_user
-- The user, locked against new ratings until the deletion.
SELECT id FROM cineclub.users WHERE external_id = %(external_id)s FOR UPDATE;

-- name: delete_ratings
-- Delete the user's ratings.
DELETE FROM cineclub.ratings WHERE user_id = %(user_id)s;

-- name: hold_log
-- Lock the logs against writes until the end of the transaction, after waiting for writes under way.
LOCK TABLE cineclub.predictions, cineclub.comparisons IN SHARE ROW EXCLUSIVE MODE;

-- name: announce_erased
-- Notify processes that have data of the user in memory.
SELECT pg_notify('cineclub_erased', %(external_id)s);

-- name: note_erased_lately
-- Record a user whose responses may still be on their way to the log.
INSERT INTO cineclub.erased_lately (user_id) VALUES (%(external_id)s);

-- name: delete_predictions
-- Delete the responses to the user.
DELETE FROM cineclub.predictions WHERE user_id = %(external_id)s;

-- name: delete_comparisons
-- Delete the compared responses to the user.
DELETE FROM cineclub.comparisons WHERE user_id = %(external_id)s;

-- name: delete_user
-- Delete the user.
DELETE FROM cineclub.users WHERE id = %(user_id)s;

-- name: note_erasure
-- Record the user, to be removed from snapshots, and the time; no training begins until this is committed.
INSERT INTO cineclub.erasures (user_id) VALUES (%(user_id)s) RETURNING erased_at;

-- name: learned_version
-- The version in production, which was fitted before the erasure.
SELECT version FROM cineclub.promotions ORDER BY id DESC LIMIT 1;

-- name: owner_user_id_type
-- The type of the user ids in the owner's view.
SELECT format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = to_regclass(%(view)s) AND attname = 'user_id' AND NOT attisdropped;

-- name: owner_user_id
-- The id in the type of the owner's view, which may not hold it.
SELECT %(external_id)s::{user_id_type};

-- name: owner_ratings
-- The number of ratings of a user in the owner's view; compared in the type of the view, so that its index is used.
SELECT count(*) AS n_ratings FROM {schema}.ratings WHERE user_id = %(external_id)s::{user_id_type};
