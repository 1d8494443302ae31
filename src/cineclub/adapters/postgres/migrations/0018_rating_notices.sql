-- Whoever keeps histories in memory is told at each commit whose ratings changed: channel cineclub_ratings, payload the
-- user's external id, or nothing where that would be many.

CREATE FUNCTION cineclub.announce_ratings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_user_ids bigint[] := '{}';
    changed_user_id bigint;
    named text[];
BEGIN
    FOR changed_user_id IN SELECT user_id FROM changed LOOP
        IF NOT changed_user_id = ANY(changed_user_ids) THEN
            changed_user_ids := changed_user_ids || changed_user_id;
            EXIT WHEN cardinality(changed_user_ids) > 100;
        END IF;
    END LOOP;
    named := ARRAY(SELECT external_id FROM cineclub.users WHERE id = ANY(changed_user_ids));
    -- a user who is deleted as a whole has no name any more
    IF cardinality(changed_user_ids) > 100 OR cardinality(named) < cardinality(changed_user_ids) THEN
        PERFORM pg_notify('cineclub_ratings', '');
    ELSE
        PERFORM pg_notify('cineclub_ratings', external_id) FROM unnest(named) AS external_id;
    END IF;
    RETURN NULL;
END;
$$;

CREATE FUNCTION cineclub.announce_all_ratings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('cineclub_ratings', '');
    RETURN NULL;
END;
$$;

CREATE TRIGGER ratings_announce_insert AFTER INSERT ON cineclub.ratings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_ratings();
CREATE TRIGGER ratings_announce_delete AFTER DELETE ON cineclub.ratings
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_ratings();
-- an update may move a rating from one user to another: both are told of
CREATE TRIGGER ratings_announce_update AFTER UPDATE ON cineclub.ratings
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_ratings();
CREATE TRIGGER ratings_announce_update_from AFTER UPDATE ON cineclub.ratings
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_ratings();
CREATE TRIGGER ratings_announce_truncate AFTER TRUNCATE ON cineclub.ratings
FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_all_ratings();
CREATE TRIGGER users_announce_rename AFTER UPDATE OF external_id ON cineclub.users
FOR EACH STATEMENT EXECUTE FUNCTION cineclub.announce_all_ratings();
