-- The crowd's counts of older ratings, which take long to sum, and the changes after which they are summed again.

-- Summed by one process, for all of them and for the next start.
CREATE TABLE cineclub.older_crowd_counts (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    source text NOT NULL,
    counted_before timestamptz NOT NULL,
    clock timestamptz NOT NULL,
    newest_liked_at timestamptz,
    seen text NOT NULL,
    read_at timestamptz NOT NULL,
    read_seconds double precision NOT NULL,
    counts bytea NOT NULL
);

COMMENT ON COLUMN cineclub.older_crowd_counts.source IS 'the schema of the ratings';
COMMENT ON COLUMN cineclub.older_crowd_counts.seen IS 'the snapshot of the read: which changes it has seen';
COMMENT ON COLUMN cineclub.older_crowd_counts.counts IS '56 bytes a film: its id and six decayed sums, big-endian';

CREATE TABLE cineclub.older_rating_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- by the snapshot of the counts it is known whether they were summed before the change was committed
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_erasure boolean NOT NULL DEFAULT false
);
CREATE INDEX older_rating_changes_changed_at_idx ON cineclub.older_rating_changes (changed_at);

COMMENT ON TABLE cineclub.older_rating_changes IS 'a row for each statement of the last two days';

-- Volatile, so that the time is that of the statement. Rows of more than two days ago are of no use: the counts
-- are summed again each day.
CREATE FUNCTION cineclub.note_older_change(is_erasure boolean) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO cineclub.older_rating_changes (is_erasure) VALUES (is_erasure);
    DELETE FROM cineclub.older_rating_changes WHERE id IN (
        SELECT id FROM cineclub.older_rating_changes WHERE changed_at < clock_timestamp() - interval '2 days'
        ORDER BY changed_at LIMIT 100 FOR UPDATE SKIP LOCKED
    );
$$;

CREATE FUNCTION cineclub.note_older_ratings() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- the older part of the counts ends two days ago; a day more, as clocks of two machines differ
    IF EXISTS (SELECT FROM changed WHERE rated_at < (
        date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') - interval '1 day'
    ) AT TIME ZONE 'UTC') THEN
        PERFORM cineclub.note_older_change(false);
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION cineclub.note_all_older_ratings() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM cineclub.note_older_change(false);
    RETURN NULL;
END;
$$;

CREATE FUNCTION cineclub.note_erasure() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM cineclub.note_older_change(true);
    DELETE FROM cineclub.older_crowd_counts;
    RETURN NULL;
END;
$$;

CREATE TRIGGER ratings_older_insert AFTER INSERT ON cineclub.ratings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_older_ratings();
CREATE TRIGGER ratings_older_delete AFTER DELETE ON cineclub.ratings
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_older_ratings();
CREATE TRIGGER ratings_older_update AFTER UPDATE ON cineclub.ratings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_older_ratings();
CREATE TRIGGER ratings_older_update_from AFTER UPDATE ON cineclub.ratings
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_older_ratings();
CREATE TRIGGER ratings_older_truncate AFTER TRUNCATE ON cineclub.ratings
FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_all_older_ratings();
CREATE TRIGGER erasures_older AFTER INSERT ON cineclub.erasures
FOR EACH STATEMENT EXECUTE FUNCTION cineclub.note_erasure();
