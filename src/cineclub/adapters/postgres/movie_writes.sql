-- name: begin
-- Wait for an import, whose movies these might be, and for other writers of movies; not for long.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '4s', true);
    LOCK TABLE cineclub.ratings IN ROW EXCLUSIVE MODE;
    PERFORM pg_advisory_xact_lock(hashtextextended('cineclub.movies', 0));
END
$$;

-- name: are_integers
-- Whether every id so far is an integer, so that responses write them as numbers; null before the first import.
SELECT movie_ids_are_integers AS are_integers FROM cineclub.catalogue;

-- name: known
-- The ids of those movies that exist.
SELECT external_id FROM cineclub.movies WHERE external_id = ANY(%(ids)s);

-- name: note_text_ids
-- Record that ids are text from now on.
UPDATE cineclub.catalogue SET movie_ids_are_integers = false WHERE movie_ids_are_integers;

-- name: upsert
-- Add new movies and replace others; equal ones are not touched.
INSERT INTO cineclub.movies
    (external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, overview, available)
SELECT external_id, title, year, genres, imdb_id, tmdb_id, labels, runtime_minutes, overview, is_available
FROM jsonb_to_recordset(%(movies)s) AS given (
    external_id text, title text, year integer, genres text[], imdb_id text, tmdb_id text, labels jsonb,
    runtime_minutes integer, overview text, is_available boolean
)
ORDER BY external_id
ON CONFLICT (external_id) DO UPDATE
SET title = excluded.title, year = excluded.year, genres = excluded.genres, imdb_id = excluded.imdb_id,
    tmdb_id = excluded.tmdb_id, labels = excluded.labels, runtime_minutes = excluded.runtime_minutes,
    overview = excluded.overview, available = excluded.available
WHERE (movies.title, movies.year, movies.genres, movies.imdb_id, movies.tmdb_id, movies.labels,
       movies.runtime_minutes, movies.overview, movies.available)
    IS DISTINCT FROM
      (excluded.title, excluded.year, excluded.genres, excluded.imdb_id, excluded.tmdb_id, excluded.labels,
       excluded.runtime_minutes, excluded.overview, excluded.available)
RETURNING external_id;

-- name: ids
-- The internal ids of movies.
SELECT id FROM cineclub.movies WHERE external_id = ANY(%(ids)s) ORDER BY id;

-- name: rated
-- The number of people who rated a movie; no row for an unknown one. A rating that is being written waits.
SELECT id, (SELECT count(*) FROM cineclub.ratings r WHERE r.movie_id = m.id) AS n_ratings
FROM cineclub.movies m WHERE external_id = %(movie_id)s FOR UPDATE;

-- name: withdraw
-- Withdraw a movie; whatever else is written of it meanwhile stays.
UPDATE cineclub.movies SET available = false WHERE external_id = %(movie_id)s RETURNING id;

-- name: delete
DELETE FROM cineclub.movies WHERE id = %(id)s;
