-- name: catalogue
-- The rating scale, locked against a change until the ratings are in.
SELECT scale_lowest AS lowest, scale_highest AS highest FROM cineclub.catalogue FOR SHARE;

-- name: by_movie_id
-- The internal ids of these films, those that exist.
SELECT external_id AS given, id FROM cineclub.movies WHERE external_id = ANY(%(ids)s);

-- name: by_imdb_id
-- The same by IMDb's numbers, without letters and leading zeros; of two films with one number the first.
SELECT DISTINCT ON (given) coalesce(nullif(ltrim(regexp_replace(imdb_id, '^tt', ''), '0'), ''), '0') AS given, id
FROM cineclub.movies
WHERE coalesce(nullif(ltrim(regexp_replace(imdb_id, '^tt', ''), '0'), ''), '0') = ANY(%(ids)s)
ORDER BY given, id;

-- name: by_tmdb_id
-- The same by TMDB's numbers.
SELECT DISTINCT ON (given) tmdb_id AS given, id FROM cineclub.movies WHERE tmdb_id = ANY(%(ids)s) ORDER BY given, id;

-- name: add_users
-- Users who rate for the first time.
INSERT INTO cineclub.users (external_id)
SELECT given FROM unnest(%(external_ids)s::text[]) AS given
WHERE NOT EXISTS (SELECT FROM cineclub.users u WHERE u.external_id = given)
ORDER BY given
ON CONFLICT (external_id) DO NOTHING;

-- name: note_text_user_ids
-- From now on user ids are text.
UPDATE cineclub.catalogue SET user_ids_are_integers = false WHERE user_ids_are_integers;

-- name: upsert
-- New ratings, and new values of old ones.
INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at)
SELECT u.id, given.movie_id, given.rating, coalesce(given.rated_at, clock_timestamp())
FROM unnest(%(user_ids)s::text[], %(movie_ids)s::bigint[], %(ratings)s::real[], %(rated_at)s::timestamptz[])
    AS given (user_id, movie_id, rating, rated_at)
JOIN cineclub.users u ON u.external_id = given.user_id
ORDER BY u.id, given.movie_id
ON CONFLICT (user_id, movie_id) DO UPDATE SET rating = excluded.rating, rated_at = excluded.rated_at;

-- name: delete
-- One rating taken back.
DELETE FROM cineclub.ratings r
USING cineclub.users u, cineclub.movies m
WHERE u.id = r.user_id AND m.id = r.movie_id AND u.external_id = %(user_id)s AND m.external_id = %(movie_id)s
RETURNING r.user_id;
