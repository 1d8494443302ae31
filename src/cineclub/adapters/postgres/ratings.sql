-- name: scale
-- The rating scale of our own tables.
SELECT scale_lowest::float8 AS lowest, scale_highest::float8 AS highest FROM cineclub.catalogue;

-- name: facts
-- Sizes of our own tables.
SELECT (SELECT count(*) FROM cineclub.users) AS n_users,
       (SELECT count(*) FROM cineclub.movies) AS n_movies,
       (SELECT count(*) FROM cineclub.ratings) AS n_ratings;

-- name: facts_external
-- Sizes of the owner's views.
SELECT (SELECT count(DISTINCT user_id) FROM {schema}.ratings) AS n_users,
       (SELECT count(*) FROM {schema}.movies) AS n_movies,
       (SELECT count(*) FROM {schema}.ratings) AS n_ratings;

-- name: future
-- The ratings that are dated after now; clocks of two machines differ by some minutes.
SELECT count(*) AS n_ratings, least(max(rated_at), '9999-12-31Z') AS newest_rated_at FROM cineclub.ratings
WHERE rated_at > now() + interval '5 minutes';

-- name: future_external
-- The same out of the owner's views.
SELECT count(*) AS n_ratings, least(max(rated_at), '9999-12-31Z') AS newest_rated_at FROM {schema}.ratings
WHERE rated_at > now() + interval '5 minutes';

-- name: n_ratings
-- The number of ratings that the COPY will send.
SELECT count(*) AS n_ratings FROM cineclub.ratings;

-- name: n_ratings_external
-- The number of ratings that the COPY will send: those of mapped users and movies.
SELECT count(*) AS n_ratings
FROM {schema}.ratings v
JOIN cineclub.users u ON u.external_id = v.user_id::text
JOIN cineclub.movies m ON m.external_id = v.movie_id::text;

-- name: copy
-- All ratings; the rows have one width, because no column can be null.
COPY (SELECT user_id, movie_id, rating, rated_at FROM cineclub.ratings) TO STDOUT (FORMAT BINARY);

-- name: copy_external
-- The same out of the owner's views.
COPY (
    SELECT u.id, m.id, v.rating::real, v.rated_at::timestamptz
    FROM {schema}.ratings v
    JOIN cineclub.users u ON u.external_id = v.user_id::text
    JOIN cineclub.movies m ON m.external_id = v.movie_id::text
) TO STDOUT (FORMAT BINARY);

-- name: movies
-- All movies.
SELECT id, external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, available
FROM cineclub.movies ORDER BY id;

-- name: movies_external
-- All movies of the owner's view.
SELECT m.id, m.external_id, m.title, m.year, m.genres, m.imdb_id, m.tmdb_id, m.labels, m.runtime_minutes, m.available
FROM cineclub.movies m
WHERE EXISTS (SELECT FROM {schema}.movies v WHERE v.movie_id::text = m.external_id)
ORDER BY m.id;
