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

-- name: lowest_internal
-- The lowest rating of the scale.
SELECT scale_lowest::float8 AS lowest FROM cineclub.catalogue;

-- name: lowest_external
-- The lowest rating of the scale.
SELECT lowest::float8 AS lowest FROM {schema}.rating_scale;

-- name: movies
-- What is known of some movies.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, available, overview
FROM cineclub.movies WHERE id = ANY(%(movie_ids)s);

-- name: everything_internal
-- What is known of all movies, without their overviews.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, available
FROM cineclub.movies ORDER BY id;

-- name: everything_external
-- The same of those that the owner's view has.
SELECT m.id, m.external_id, m.title, m.year, m.genres, m.imdb_id, m.tmdb_id, m.labels, m.runtime_minutes, m.available
FROM cineclub.movies m
WHERE EXISTS (SELECT FROM {schema}.movies v WHERE v.movie_id::text = m.external_id)
ORDER BY m.id;

-- name: known_internal
-- What is known of one movie by its external id, the number of its ratings, and whether all ids are integers.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, available, overview,
       (SELECT count(*) FROM cineclub.ratings r WHERE r.movie_id = m.id) AS n_ratings,
       coalesce((SELECT movie_ids_are_integers FROM cineclub.catalogue), false) AS ids_are_integers
FROM cineclub.movies m WHERE external_id = %(external_id)s;

-- name: known_external
-- The same with the ratings of the owner's view.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, available, overview,
       (SELECT count(*) FROM {schema}.ratings r WHERE r.movie_id::text = m.external_id) AS n_ratings,
       coalesce((SELECT movie_ids_are_integers FROM cineclub.catalogue), false) AS ids_are_integers
FROM cineclub.movies m WHERE external_id = %(external_id)s;
