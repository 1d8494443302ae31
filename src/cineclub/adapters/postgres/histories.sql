-- name: history_internal
-- Everything one user has rated: 20 bytes a rating, big-endian (film, rating, microseconds since 2000-01-01 UTC).
SELECT string_agg(int8send(r.movie_id) || float4send(r.rating) || timestamptz_send(r.rated_at), ''::bytea) AS packed
FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id
WHERE u.external_id = %(user_id)s;

-- name: history_external
-- The same out of the owner's views; the user id is compared in the type of the view, so that its index is used.
SELECT string_agg(
    int8send(m.id) || float4send(r.rating::real) || timestamptz_send(r.rated_at::timestamptz), ''::bytea
) AS packed
FROM {schema}.ratings r
JOIN cineclub.movies m ON m.external_id = r.movie_id::text
WHERE r.user_id = %(user_id)s::{user_id_type};

-- name: column_type
-- The type of a column of the owner's views.
SELECT format_type(atttypid, NULL) AS type
FROM pg_attribute
WHERE attrelid = to_regclass(%(view)s) AND attname = %(column)s AND NOT attisdropped;

-- name: counts_internal
-- How often and how well each film is rated: 24 bytes a film, big-endian (film, number, sum).
SELECT string_agg(int8send(movie_id) || int8send(n_ratings) || float8send(rating_sum), ''::bytea) AS packed
FROM (
    SELECT movie_id, count(*) AS n_ratings, sum(rating::float8) AS rating_sum FROM cineclub.ratings GROUP BY movie_id
) AS counts;

-- name: counts_external
-- The same out of the owner's views.
SELECT string_agg(int8send(m.id) || int8send(c.n_ratings) || float8send(c.rating_sum), ''::bytea) AS packed
FROM (
    SELECT movie_id::text AS external_id, count(*) AS n_ratings, sum(rating::float8) AS rating_sum
    FROM {schema}.ratings GROUP BY movie_id
) AS c
JOIN cineclub.movies m USING (external_id);

-- name: map_external_movies
-- Give films of the owner's view that have no internal id yet one of their own.
INSERT INTO cineclub.movies (external_id, title, year, genres, imdb_id, tmdb_id)
SELECT v.movie_id::text, v.title::text, v.year::int, coalesce(v.genres, '{{}}'), v.imdb_id::text, v.tmdb_id::text
FROM {schema}.movies v
WHERE NOT EXISTS (SELECT FROM cineclub.movies m WHERE m.external_id = v.movie_id::text)
ON CONFLICT (external_id) DO NOTHING;

-- name: lowest_internal
-- Where the rating scale begins.
SELECT scale_lowest::float8 AS lowest FROM cineclub.catalogue;

-- name: lowest_external
-- Where the rating scale begins.
SELECT lowest::float8 AS lowest FROM {schema}.rating_scale;

-- name: movies
-- The texts of these films.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies WHERE id = ANY(%(movie_ids)s);

-- name: movie_ids_are_integers
-- How the caller's system writes film ids.
SELECT movie_ids_are_integers FROM cineclub.catalogue;
