-- name: note_kept
-- Record that a host has a complete snapshot, for the first time or again.
INSERT INTO cineclub.snapshots (content_sha256, n_ratings, newest_rated_at)
VALUES (%(content_sha256)s, %(n_ratings)s, %(newest_rated_at)s)
ON CONFLICT (content_sha256) DO UPDATE SET kept_at = clock_timestamp(), dropped_at = NULL;

-- name: all
-- Every snapshot that was ever kept, newest first.
SELECT content_sha256, n_ratings, newest_rated_at, kept_at, dropped_at, erased_at
FROM cineclub.snapshots
ORDER BY kept_at DESC, content_sha256;

-- name: note_dropped
-- Record that snapshots are about to be deleted.
UPDATE cineclub.snapshots SET dropped_at = clock_timestamp()
WHERE content_sha256 = ANY(%(content_sha256s)s) AND dropped_at IS NULL;

-- name: note_erased
-- Record that a snapshot is about to be rewritten without an erased user.
UPDATE cineclub.snapshots SET erased_at = clock_timestamp()
WHERE content_sha256 = %(content_sha256)s AND erased_at IS NULL;

-- name: erasures
-- The erasures, oldest first.
SELECT id::text AS id, user_id FROM cineclub.erasures ORDER BY erased_at, id;
