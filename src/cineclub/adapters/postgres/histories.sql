-- name: history_internal
-- All ratings of one user: 20 bytes a rating, big-endian (movie, rating, microseconds since 2000-01-01 UTC).
SELECT string_agg(int8send(r.movie_id) || float4send(r.rating) || timestamptz_send(r.rated_at), ''::bytea) AS packed
FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id
WHERE u.external_id = %(user_id)s;

-- name: histories_internal
-- The same for some users at once; null for users without ratings.
SELECT requested.user_id, history.packed
FROM unnest(%(user_ids)s::text[]) AS requested (user_id)
CROSS JOIN LATERAL (
    SELECT string_agg(int8send(r.movie_id) || float4send(r.rating) || timestamptz_send(r.rated_at), ''::bytea) AS packed
    FROM cineclub.ratings r
    JOIN cineclub.users u ON u.id = r.user_id
    WHERE u.external_id = requested.user_id
) AS history;

-- name: histories
-- The same for many users at once.
SELECT u.external_id AS user_id,
    string_agg(int8send(r.movie_id) || float4send(r.rating) || timestamptz_send(r.rated_at), ''::bytea) AS packed
FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id
WHERE u.external_id = ANY(%(user_ids)s)
GROUP BY u.external_id;

-- name: history_external
-- The same out of the owner's views; the user id is compared in the type of the view, so that its index is used.
SELECT string_agg(
    int8send(m.id) || float4send(r.rating::real) || timestamptz_send(r.rated_at::timestamptz), ''::bytea
) AS packed
FROM {schema}.ratings r
JOIN cineclub.movies m ON m.external_id = r.movie_id::text
WHERE r.user_id = %(user_id)s::{user_id_type};

-- name: fits_external
-- Fails where the type of the view cannot hold a user id.
SELECT %(user_id)s::{user_id_type};

-- name: column_type
-- The type of a column of the owner's views.
SELECT format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = to_regclass(%(view)s) AND attname = %(column)s AND NOT attisdropped;

-- name: movie_ids_are_integers
-- Whether movie ids are integers in the caller's system.
SELECT movie_ids_are_integers FROM cineclub.catalogue;

-- name: users_internal
-- Users after this one by internal id.
SELECT id AS place, external_id AS user_id FROM cineclub.users
WHERE id > %(after)s::bigint ORDER BY id LIMIT %(limit)s;

-- name: users_external
-- Users with ratings after this one, by their ids as text.
SELECT DISTINCT user_id::text AS place, user_id::text AS user_id FROM {schema}.ratings
WHERE user_id::text > %(after)s ORDER BY 1 LIMIT %(limit)s;

-- name: shown
-- The films of the newest lists of some users: 16 bytes a film, big-endian (microseconds since 2000-01-01 UTC, movie).
SELECT requested.user_id, shown.packed
FROM unnest(%(user_ids)s::text[]) AS requested (user_id)
CROSS JOIN LATERAL (
    SELECT string_agg(timestamptz_send(list.answered_at) || int8send(film.movie_id), ''::bytea) AS packed
    FROM (
        SELECT p.answered_at, p.movie_ids FROM cineclub.predictions p
        WHERE p.user_id = requested.user_id
            AND p.answered_at > now() - make_interval(days => %(days)s)
            AND p.answered_at < now() + interval '1 hour'
        ORDER BY p.answered_at DESC
        LIMIT %(max_lists)s
    ) AS list
    CROSS JOIN LATERAL unnest(list.movie_ids) AS film (movie_id)
) AS shown;
