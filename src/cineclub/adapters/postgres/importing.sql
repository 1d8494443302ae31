-- name: scale
-- The rating scale of the catalogue, and whether the demo ratings were imported.
SELECT scale_lowest AS lowest, scale_highest AS highest, holds_demo FROM cineclub.catalogue;

-- name: lock
-- Exclude other writers of ratings; reads go on.
LOCK TABLE cineclub.ratings IN SHARE ROW EXCLUSIVE MODE;

-- name: announce_at_once
-- Send caches of histories one notice of this import instead of one for each row, and note one change of older ratings.
ALTER TABLE cineclub.ratings DISABLE TRIGGER ratings_announce_insert,
    DISABLE TRIGGER ratings_announce_update, DISABLE TRIGGER ratings_announce_update_from,
    DISABLE TRIGGER ratings_older_insert, DISABLE TRIGGER ratings_older_update, DISABLE TRIGGER ratings_older_update_from;
SELECT pg_notify('cineclub_ratings', ''), cineclub.note_older_change(false);

-- name: announce_each_again
ALTER TABLE cineclub.ratings ENABLE TRIGGER ratings_announce_insert,
    ENABLE TRIGGER ratings_announce_update, ENABLE TRIGGER ratings_announce_update_from,
    ENABLE TRIGGER ratings_older_insert, ENABLE TRIGGER ratings_older_update, ENABLE TRIGGER ratings_older_update_from;

-- name: set_catalogue
-- Store the scale; ids are integers only if those of every import are, and of every movie that was added before.
INSERT INTO cineclub.catalogue (scale_lowest, scale_highest, movie_ids_are_integers, user_ids_are_integers, holds_demo)
VALUES (
    %(lowest)s, %(highest)s,
    %(movies)s AND NOT EXISTS (SELECT FROM cineclub.movies WHERE external_id !~ '^(0|-?[1-9][0-9]{0,17})$'),
    %(users)s, %(demo)s
)
ON CONFLICT (singleton) DO UPDATE
SET movie_ids_are_integers = catalogue.movie_ids_are_integers AND excluded.movie_ids_are_integers,
    user_ids_are_integers = catalogue.user_ids_are_integers AND excluded.user_ids_are_integers,
    holds_demo = catalogue.holds_demo OR excluded.holds_demo;

-- name: stage_movies
-- The movies of the import; one without texts occurs in ratings only.
CREATE TEMPORARY TABLE import_movies (
    code integer, external_id text, title text, year integer, genres text[], imdb_id text, tmdb_id text,
    labels jsonb, runtime_minutes integer, overview text, available boolean
) ON COMMIT DROP;

-- name: copy_movies
COPY import_movies FROM STDIN;

-- name: update_movies
-- Update what is known of movies; values and kinds of labels that the import lacks stay.
UPDATE cineclub.movies m
SET title = n.title, year = n.year, genres = n.genres, imdb_id = n.imdb_id, tmdb_id = n.tmdb_id, labels = n.labels,
    runtime_minutes = n.runtime_minutes, overview = n.overview, available = n.available
FROM (
    SELECT o.id, coalesce(i.title, o.title) AS title, coalesce(i.year, o.year) AS year,
           CASE WHEN i.genres IS NULL OR i.genres = '{}' THEN o.genres ELSE i.genres END AS genres,
           coalesce(i.imdb_id, o.imdb_id) AS imdb_id, coalesce(i.tmdb_id, o.tmdb_id) AS tmdb_id,
           o.labels || coalesce(i.labels, '{}') AS labels,
           coalesce(i.runtime_minutes, o.runtime_minutes) AS runtime_minutes,
           coalesce(i.overview, o.overview) AS overview, coalesce(i.available, o.available) AS available
    FROM import_movies i JOIN cineclub.movies o USING (external_id)
) n
WHERE n.id = m.id
  AND (m.title, m.year, m.genres, m.imdb_id, m.tmdb_id, m.labels, m.runtime_minutes, m.overview, m.available)
      IS DISTINCT FROM
      (n.title, n.year, n.genres, n.imdb_id, n.tmdb_id, n.labels, n.runtime_minutes, n.overview, n.available);

-- name: insert_movies
-- Add new movies; one without texts gets its id as title.
INSERT INTO cineclub.movies
    (external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, overview, available)
SELECT external_id, coalesce(title, external_id), year, coalesce(genres, '{}'), imdb_id, tmdb_id,
       coalesce(labels, '{}'), runtime_minutes, overview, coalesce(available, true)
FROM import_movies
WHERE NOT EXISTS (SELECT FROM cineclub.movies m WHERE m.external_id = import_movies.external_id)
ORDER BY code
ON CONFLICT (external_id) DO NOTHING;

-- name: movie_ids
-- The internal id of each movie of the import, by code.
SELECT string_agg(int8send(m.id), ''::bytea ORDER BY i.code) AS packed
FROM import_movies i JOIN cineclub.movies m USING (external_id);

-- name: stage_users
CREATE TEMPORARY TABLE import_users (code integer, external_id text) ON COMMIT DROP;

-- name: copy_users
COPY import_users FROM STDIN;

-- name: insert_users
INSERT INTO cineclub.users (external_id)
SELECT external_id FROM import_users
WHERE NOT EXISTS (SELECT FROM cineclub.users u WHERE u.external_id = import_users.external_id)
ORDER BY code
ON CONFLICT (external_id) DO NOTHING;

-- name: user_ids
-- The internal id of each user of the import, by code.
SELECT string_agg(int8send(u.id), ''::bytea ORDER BY i.code) AS packed
FROM import_users i JOIN cineclub.users u USING (external_id);

-- name: is_empty
-- Whether there are no ratings.
SELECT NOT EXISTS (SELECT FROM cineclub.ratings) AS is_empty;

-- name: drop_keys
-- Building keys once over all rows is several times faster than row by row.
ALTER TABLE cineclub.ratings
    DROP CONSTRAINT ratings_pkey, DROP CONSTRAINT ratings_user_id_fkey, DROP CONSTRAINT ratings_movie_id_fkey;
DROP INDEX cineclub.ratings_movie_id_idx, cineclub.ratings_rated_at_idx;

-- name: copy_ratings
COPY cineclub.ratings (user_id, movie_id, rating, rated_at) FROM STDIN (FORMAT BINARY);

-- name: add_keys
-- The keys as the first migration made them.
ALTER TABLE cineclub.ratings
    ADD CONSTRAINT ratings_pkey PRIMARY KEY (user_id, movie_id),
    ADD CONSTRAINT ratings_user_id_fkey FOREIGN KEY (user_id) REFERENCES cineclub.users (id) ON DELETE CASCADE,
    ADD CONSTRAINT ratings_movie_id_fkey FOREIGN KEY (movie_id) REFERENCES cineclub.movies (id);
CREATE INDEX ratings_movie_id_idx ON cineclub.ratings (movie_id);
CREATE INDEX ratings_rated_at_idx ON cineclub.ratings (rated_at);

-- name: stage_ratings
CREATE TEMPORARY TABLE import_ratings (
    user_id bigint NOT NULL, movie_id bigint NOT NULL, rating real NOT NULL, rated_at timestamptz NOT NULL
) ON COMMIT DROP;

-- name: copy_staged_ratings
COPY import_ratings (user_id, movie_id, rating, rated_at) FROM STDIN (FORMAT BINARY);

-- name: analyze_staged_ratings
ANALYZE import_ratings;

-- name: update_ratings
UPDATE cineclub.ratings r
SET rating = i.rating, rated_at = i.rated_at
FROM import_ratings i
WHERE r.user_id = i.user_id AND r.movie_id = i.movie_id
  AND (r.rating, r.rated_at) IS DISTINCT FROM (i.rating, i.rated_at);

-- name: insert_ratings
INSERT INTO cineclub.ratings (user_id, movie_id, rating, rated_at)
SELECT user_id, movie_id, rating, rated_at FROM import_ratings i
WHERE NOT EXISTS (SELECT FROM cineclub.ratings r WHERE r.user_id = i.user_id AND r.movie_id = i.movie_id);

-- name: analyze
-- Update the statistics of the query planner.
ANALYZE cineclub.ratings, cineclub.movies, cineclub.users;
