-- name: begin
-- Wait for an import as a whole before anything else is locked, or the two would wait for each other; not for long.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '4s', true);
    LOCK TABLE cineclub.ratings IN ROW EXCLUSIVE MODE;
END
$$;

-- name: catalogue
-- The rating scale, locked until the ratings are committed.
SELECT scale_lowest AS lowest, scale_highest AS highest FROM cineclub.catalogue FOR SHARE;

-- name: by_movie_id
-- The internal ids of the movies that exist.
SELECT external_id AS given, id FROM cineclub.movies WHERE external_id = ANY(%(ids)s);

-- name: by_imdb_id
-- The same by IMDb's numbers, without letters and leading zeros; the first of two movies with one number.
SELECT DISTINCT ON (given) coalesce(nullif(ltrim(regexp_replace(imdb_id, '^tt', ''), '0'), ''), '0') AS given, id
FROM cineclub.movies
WHERE coalesce(nullif(ltrim(regexp_replace(imdb_id, '^tt', ''), '0'), ''), '0') = ANY(%(ids)s)
ORDER BY given, id;

-- name: by_tmdb_id
-- The same by TMDB's numbers.
SELECT DISTINCT ON (given) tmdb_id AS given, id FROM cineclub.movies WHERE tmdb_id = ANY(%(ids)s) ORDER BY given, id;

-- name: add_users
-- Add users without ratings so far.
INSERT INTO cineclub.users (external_id)
SELECT given FROM unnest(%(external_ids)s::text[]) AS given
WHERE NOT EXISTS (SELECT FROM cineclub.users u WHERE u.external_id = given)
ORDER BY given
ON CONFLICT (external_id) DO NOTHING;

-- name: note_text_user_ids
-- Record that user ids are text.
UPDATE cineclub.catalogue SET user_ids_are_integers = false WHERE user_ids_are_integers;

-- name: lock_users
-- The internal ids of users, who cannot be erased until the ratings are committed; those erased meanwhile are missing.
SELECT id, external_id FROM cineclub.users WHERE external_id = ANY(%(external_ids)s) ORDER BY id FOR KEY SHARE;

-- name: upsert
-- Insert new ratings and update old ones.
INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at)
SELECT given.user_id, given.movie_id, given.rating, coalesce(given.rated_at, clock_timestamp())
FROM unnest(%(user_ids)s::bigint[], %(movie_ids)s::bigint[], %(ratings)s::real[], %(rated_at)s::timestamptz[])
    AS given (user_id, movie_id, rating, rated_at)
ORDER BY given.user_id, given.movie_id
ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = excluded.rating, rated_at = excluded.rated_at
RETURNING user_id, movie_id, rating, (extract(epoch FROM rated_at) * 1000000)::bigint AS rated_at;

-- name: delete
-- Delete one rating.
DELETE FROM cineclub.ratings r
USING cineclub.users u, cineclub.movies m
WHERE u.id = r.user_id AND m.id = r.movie_id AND u.external_id = %(user_id)s AND m.external_id = %(movie_id)s
RETURNING r.movie_id;
