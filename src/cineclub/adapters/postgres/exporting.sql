-- name: facts
-- The rating scale and the number of ratings.
SELECT scale_lowest, scale_highest, (SELECT count(*) FROM cineclub.ratings) AS n_ratings FROM cineclub.catalogue;

-- name: ratings
-- The ratings in the order of a release: by user, then movie; times in seconds since 1970, with their fraction.
SELECT u.external_id AS "userId", m.external_id AS "movieId", r.rating,
       trim_scale(extract(epoch FROM r.rated_at)) AS "timestamp"
FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id
JOIN cineclub.movies m ON m.id = r.movie_id
ORDER BY r.user_id, r.movie_id;

-- name: movies
SELECT external_id AS "movieId",
       CASE WHEN year IS NULL THEN title ELSE title || ' (' || year || ')' END AS title,
       CASE WHEN genres = '{}' THEN '(no genres listed)' ELSE array_to_string(genres, '|') END AS genres
FROM cineclub.movies ORDER BY id;

-- name: links
SELECT external_id AS "movieId", imdb_id AS "imdbId", tmdb_id AS "tmdbId"
FROM cineclub.movies WHERE imdb_id IS NOT NULL OR tmdb_id IS NOT NULL ORDER BY id;

-- name: attributes
-- What else is known of films. Labels are JSON, and so are overviews: whatever they hold, a row is one line.
SELECT external_id AS "movieId", available, runtime_minutes AS "runtimeMinutes", to_json(overview) AS overview, labels
FROM cineclub.movies
WHERE NOT available OR runtime_minutes IS NOT NULL OR overview IS NOT NULL OR labels <> '{}' ORDER BY id;
