-- Answers that were on their way to the log while their person was erased, in whatever process, become nobody's.

-- The id stays for a day: how long an answer may be on its way.
CREATE TABLE cineclub.erased_lately (
    user_id text NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX erased_lately_user_id_idx ON cineclub.erased_lately (user_id);

-- Volatile, so that it sees who was erased while this write waited for the lock that the erasure holds on the log.
CREATE FUNCTION cineclub.let_erased_be_nobodys() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (
        SELECT FROM cineclub.erased_lately e
        -- clocks of two machines differ a little
        WHERE e.user_id = NEW.user_id AND NEW.answered_at <= e.erased_at + interval '10 seconds'
    ) THEN
        NEW.user_id := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER predictions_of_erased_people
BEFORE INSERT ON cineclub.predictions
FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION cineclub.let_erased_be_nobodys();

-- The same for answers that another version was asked for: they are written a while after the answer itself.
CREATE FUNCTION cineclub.let_compared_be_nobodys() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT FROM cineclub.erased_lately e WHERE e.user_id = NEW.user_id) THEN
        NEW.user_id := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER comparisons_of_erased_people
BEFORE INSERT ON cineclub.comparisons
FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION cineclub.let_compared_be_nobodys();
