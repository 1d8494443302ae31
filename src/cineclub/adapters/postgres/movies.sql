-- name: counts_internal
-- Number and sum of the ratings of each movie, of all time or of the last days before the newest rating; packed as
-- 24 bytes a movie, big-endian (movie, number, sum). A rating that is dated after now is not the newest.
SELECT string_agg(int8send(movie_id) || int8send(n_ratings) || float8send(rating_sum), ''::bytea) AS packed
FROM (
    SELECT movie_id, count(*) AS n_ratings, sum(rating::float8) AS rating_sum FROM cineclub.ratings
    WHERE %(window_days)s::integer IS NULL
        OR rated_at > coalesce((SELECT max(rated_at) FROM cineclub.ratings WHERE rated_at <= now()), now())
            - make_interval(days => %(window_days)s)
    GROUP BY movie_id
) AS counts;

-- name: counts_external
-- The same out of the owner's views.
SELECT string_agg(int8send(m.id) || int8send(c.n_ratings) || float8send(c.rating_sum), ''::bytea) AS packed
FROM (
    SELECT movie_id::text AS external_id, count(*) AS n_ratings, sum(rating::float8) AS rating_sum
    FROM {schema}.ratings
    WHERE %(window_days)s::integer IS NULL
        OR rated_at > coalesce((SELECT max(rated_at) FROM {schema}.ratings WHERE rated_at <= now()), now())
            - make_interval(days => %(window_days)s)
    GROUP BY movie_id
) AS c
JOIN cineclub.movies m USING (external_id);

-- name: map_external_movies
-- Add movies of the owner's view that have no internal id yet.
INSERT INTO cineclub.movies (external_id, title, year, genres, imdb_id, tmdb_id)
SELECT v.movie_id::text, v.title::text, v.year::int, coalesce(v.genres, '{{}}'), v.imdb_id::text, v.tmdb_id::text
FROM {schema}.movies v
WHERE NOT EXISTS (SELECT FROM cineclub.movies m WHERE m.external_id = v.movie_id::text)
ON CONFLICT (external_id) DO NOTHING;

-- name: lowest_internal
-- The lowest rating of the scale.
SELECT scale_lowest::float8 AS lowest FROM cineclub.catalogue;

-- name: lowest_external
-- The lowest rating of the scale.
SELECT lowest::float8 AS lowest FROM {schema}.rating_scale;

-- name: movies
-- The texts of some movies.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies WHERE id = ANY(%(movie_ids)s);

-- name: everything
-- The texts of all movies.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id FROM cineclub.movies ORDER BY id;
