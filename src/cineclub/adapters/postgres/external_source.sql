-- name: columns
-- The columns of the owner's views, with their types.
SELECT c.relname AS view, a.attname AS column, format_type(a.atttypid, NULL) AS type
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = %(schema)s AND c.relname IN ('movies', 'ratings', 'rating_scale') AND c.relkind IN ('v', 'm', 'r', 'f', 'p');

-- name: scale
-- The rating scale; the contract demands one row.
SELECT lowest::float8 AS lowest, highest::float8 AS highest FROM {schema}.rating_scale LIMIT 2;

-- name: movie_faults
-- Numbers of movies that break the contract.
SELECT count(*) FILTER (WHERE movie_id IS NULL OR length(movie_id::text) NOT BETWEEN 1 AND 256) AS ids,
       count(*) FILTER (WHERE title IS NULL) AS titles,
       count(movie_id) - count(DISTINCT movie_id::text) AS repeated,
       count(*) FILTER (WHERE jsonb_typeof(to_jsonb(v) -> 'labels') NOT IN ('object', 'null')) AS labels
FROM {schema}.movies v;

-- name: rating_faults
-- Numbers of ratings that break the contract, by column.
SELECT count(*) FILTER (WHERE user_id IS NULL OR length(user_id::text) NOT BETWEEN 1 AND 256) AS users,
       count(*) FILTER (WHERE movie_id IS NULL) AS movies,
       count(*) FILTER (WHERE rating IS NULL) AS ratings,
       count(*) FILTER (WHERE rated_at IS NULL OR NOT isfinite(rated_at)) AS times,
       count(*) FILTER (WHERE NOT rating::float8 BETWEEN %(lowest)s AND %(highest)s) AS off_scale
FROM {schema}.ratings;

-- name: unknown_movies
-- The number of ratings of movies that the view of movies lacks.
SELECT count(*) AS n_ratings FROM {schema}.ratings r
WHERE r.movie_id IS NOT NULL AND NOT EXISTS (SELECT FROM {schema}.movies m WHERE m.movie_id::text = r.movie_id::text);

-- name: repeated
-- The number of pairs of user and movie with more than one rating.
SELECT count(*) AS n_pairs FROM (SELECT FROM {schema}.ratings GROUP BY user_id, movie_id HAVING count(*) > 1) AS pairs;

-- name: set_catalogue
-- Store the scale and the types of the ids of the views.
INSERT INTO cineclub.catalogue (scale_lowest, scale_highest, movie_ids_are_integers, user_ids_are_integers)
VALUES (%(lowest)s, %(highest)s, %(movies)s, %(users)s)
ON CONFLICT (singleton) DO UPDATE
SET scale_lowest = excluded.scale_lowest, scale_highest = excluded.scale_highest,
    movie_ids_are_integers = excluded.movie_ids_are_integers, user_ids_are_integers = excluded.user_ids_are_integers;

-- name: refresh_movies
-- Update what is known of mapped movies. As JSON, a view may lack the optional columns.
UPDATE cineclub.movies m
SET title = v.title, year = v.year, genres = v.genres, imdb_id = v.imdb_id, tmdb_id = v.tmdb_id, labels = v.labels,
    runtime_minutes = v.runtime_minutes, overview = v.overview, available = v.available
FROM (
    SELECT movie_id::text AS external_id, title::text AS title, year::int AS year,
           coalesce(genres::text[], '{{}}') AS genres, imdb_id::text AS imdb_id, tmdb_id::text AS tmdb_id,
           CASE jsonb_typeof(o.optional -> 'labels') WHEN 'object' THEN o.optional -> 'labels' ELSE '{{}}' END AS labels,
           (o.optional ->> 'runtime_minutes')::int AS runtime_minutes, o.optional ->> 'overview' AS overview,
           coalesce((o.optional ->> 'available')::boolean, true) AS available
    FROM {schema}.movies x, LATERAL (SELECT to_jsonb(x) AS optional) AS o
) v
WHERE v.external_id = m.external_id
  AND (m.title, m.year, m.genres, m.imdb_id, m.tmdb_id, m.labels, m.runtime_minutes, m.overview, m.available)
      IS DISTINCT FROM
      (v.title, v.year, v.genres, v.imdb_id, v.tmdb_id, v.labels, v.runtime_minutes, v.overview, v.available);

-- name: add_movies
-- Add movies that have no internal id yet. As JSON, a view may lack the optional columns.
INSERT INTO cineclub.movies
    (external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, overview, available)
SELECT v.movie_id::text, v.title::text, v.year::int, coalesce(v.genres::text[], '{{}}'), v.imdb_id::text, v.tmdb_id::text,
       CASE jsonb_typeof(o.optional -> 'labels') WHEN 'object' THEN o.optional -> 'labels' ELSE '{{}}' END,
       (o.optional ->> 'runtime_minutes')::int, o.optional ->> 'overview',
       coalesce((o.optional ->> 'available')::boolean, true)
FROM {schema}.movies v, LATERAL (SELECT to_jsonb(v) AS optional) AS o
WHERE NOT EXISTS (SELECT FROM cineclub.movies m WHERE m.external_id = v.movie_id::text)
ORDER BY v.movie_id
ON CONFLICT (external_id) DO NOTHING;

-- name: add_users
-- Add users who have no internal id yet.
INSERT INTO cineclub.users (external_id)
SELECT given.external_id
FROM (SELECT DISTINCT user_id FROM {schema}.ratings) v, LATERAL (SELECT v.user_id::text AS external_id) AS given
WHERE NOT EXISTS (SELECT FROM cineclub.users u WHERE u.external_id = given.external_id)
ORDER BY v.user_id
ON CONFLICT (external_id) DO NOTHING;
