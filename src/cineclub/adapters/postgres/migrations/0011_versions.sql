-- What was registered, what was refused, and where MLflow's alias was last set to by us.

CREATE TABLE cineclub.versions (
    version integer NOT NULL,
    manifest_sha256 text NOT NULL,
    registered_at timestamptz NOT NULL,
    training_id uuid,
    role text NOT NULL,
    recipe jsonb NOT NULL,
    verdict text NOT NULL,
    reason text NOT NULL,
    metrics jsonb NOT NULL,
    tags jsonb NOT NULL,
    snapshot_sha256 text NOT NULL,
    snapshot_n_ratings bigint NOT NULL,
    snapshot_newest_rated_at timestamptz,
    code_version text NOT NULL,
    withdrawn_at timestamptz,
    -- another MLflow server counts from 1 again, so that a number alone does not name a version
    PRIMARY KEY (version, manifest_sha256)
);
-- A training that is run again registers once in each role.
CREATE UNIQUE INDEX versions_once_per_training ON cineclub.versions (training_id, role) WHERE withdrawn_at IS NULL;

CREATE FUNCTION cineclub.refuse_rewriting_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.withdrawn_at IS NULL
        AND to_jsonb(NEW) - 'withdrawn_at' = to_jsonb(OLD) - 'withdrawn_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'cineclub.versions is append-only: a version can be withdrawn and nothing else';
END;
$$;
CREATE TRIGGER versions_append_only
BEFORE UPDATE OR DELETE ON cineclub.versions
FOR EACH ROW EXECUTE FUNCTION cineclub.refuse_rewriting_version();

CREATE TABLE cineclub.refusals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    version integer NOT NULL,
    asked_by text NOT NULL CHECK (asked_by IN ('gate', 'person', 'outside')),
    reason text NOT NULL
);
CREATE TRIGGER refusals_append_only
BEFORE UPDATE OR DELETE ON cineclub.refusals
FOR EACH ROW EXECUTE FUNCTION cineclub.refuse_change();

CREATE TABLE cineclub.synced_alias (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version integer,
    moving_to integer,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO cineclub.synced_alias (version)
SELECT (SELECT version FROM cineclub.promotions ORDER BY id DESC LIMIT 1);
