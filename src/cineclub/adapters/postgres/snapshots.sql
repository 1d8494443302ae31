-- name: note_kept
-- A snapshot lies whole in somebody's folder; one that was dropped before is there again.
INSERT INTO cineclub.snapshots (content_sha256, n_ratings, newest_rated_at)
VALUES (%(content_sha256)s, %(n_ratings)s, %(newest_rated_at)s)
ON CONFLICT (content_sha256) DO UPDATE SET kept_at = clock_timestamp(), dropped_at = NULL;

-- name: all
-- Every snapshot that was ever kept, newest first.
SELECT content_sha256, n_ratings, newest_rated_at, kept_at, dropped_at, erased_at
FROM cineclub.snapshots
ORDER BY kept_at DESC, content_sha256;

-- name: note_dropped
-- Snapshots that are about to be deleted.
UPDATE cineclub.snapshots SET dropped_at = clock_timestamp()
WHERE content_sha256 = ANY(%(content_sha256s)s) AND dropped_at IS NULL;

-- name: note_erased
-- A snapshot that is about to be rewritten without a person who was erased.
UPDATE cineclub.snapshots SET erased_at = clock_timestamp()
WHERE content_sha256 = %(content_sha256)s AND erased_at IS NULL;

-- name: erasures
-- Who was erased, in the order in which they were.
SELECT id::text AS id, user_id FROM cineclub.erasures ORDER BY erased_at, id;

-- name: lock_user
-- The user, kept from rating anything until they are gone.
SELECT id FROM cineclub.users WHERE external_id = %(external_id)s FOR UPDATE;

-- name: delete_ratings
-- Everything that the user has rated.
DELETE FROM cineclub.ratings WHERE user_id = %(user_id)s;

-- name: hold_log
-- The log, kept from growing until this is over; what is being written is waited for.
LOCK TABLE cineclub.predictions, cineclub.comparisons IN SHARE ROW EXCLUSIVE MODE;

-- name: tell_erased
-- Whoever keeps anything of the user in memory forgets it.
SELECT pg_notify('cineclub_erased', %(external_id)s);

-- name: note_erased_lately
-- Whose answers may still be on their way to the log.
INSERT INTO cineclub.erased_lately (user_id) VALUES (%(external_id)s);

-- name: delete_predictions
-- Every answer that the user was given.
DELETE FROM cineclub.predictions WHERE user_id = %(external_id)s;

-- name: delete_comparisons
-- Every answer to the user that another version was asked for too.
DELETE FROM cineclub.comparisons WHERE user_id = %(external_id)s;

-- name: delete_user
-- The user.
DELETE FROM cineclub.users WHERE id = %(user_id)s;

-- name: note_erasure
-- Who must leave the snapshots too.
INSERT INTO cineclub.erasures (user_id) VALUES (%(user_id)s);
