-- What is known of a film beside title, year and genres; and notices of changed films.

ALTER TABLE cineclub.movies
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    ADD COLUMN runtime_minutes integer,
    ADD COLUMN overview text,
    ADD COLUMN available boolean NOT NULL DEFAULT true;

COMMENT ON COLUMN cineclub.movies.labels IS 'for each kind, such as director, a list of names, or of objects with name, weight (0 to 1) and since';
COMMENT ON COLUMN cineclub.movies.available IS 'whether the film may be recommended; one that was withdrawn is still known from histories';

-- Whoever keeps the catalogue in memory is told at each commit which films changed: channel cineclub_movies, payload
-- their ids with commas between them, or nothing where that would be many.
CREATE FUNCTION cineclub.announce_movies() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_ids text[];
BEGIN
    changed_ids := ARRAY(SELECT id::text FROM changed ORDER BY id LIMIT 101);
    IF cardinality(changed_ids) > 100 THEN
        PERFORM pg_notify('cineclub_movies', '');
    ELSIF cardinality(changed_ids) > 0 THEN
        PERFORM pg_notify('cineclub_movies', array_to_string(changed_ids, ','));
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION cineclub.announce_all_movies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('cineclub_movies', '');
    RETURN NULL;
END;
$$;

CREATE TRIGGER movies_announce_insert AFTER INSERT ON cineclub.movies
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_movies();
CREATE TRIGGER movies_announce_update AFTER UPDATE ON cineclub.movies
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_movies();
CREATE TRIGGER movies_announce_delete AFTER DELETE ON cineclub.movies
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_movies();
CREATE TRIGGER movies_announce_truncate AFTER TRUNCATE ON cineclub.movies
FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_all_movies();
