-- The ratings that trainings learned from, kept as files on the hosts that trained; and whom they must forget.

CREATE TABLE cineclub.snapshots (
    content_sha256 text PRIMARY KEY CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    n_ratings bigint NOT NULL,
    newest_rated_at timestamptz,
    kept_at timestamptz NOT NULL DEFAULT now(),
    dropped_at timestamptz,
    erased_at timestamptz
);
CREATE INDEX snapshots_kept_at_idx ON cineclub.snapshots (kept_at DESC);

-- The internal id alone: it is given to nobody else and says nothing once the user's row is gone.
CREATE TABLE cineclub.erasures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id bigint NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TRIGGER erasures_append_only
BEFORE UPDATE OR DELETE ON cineclub.erasures
FOR EACH ROW EXECUTE FUNCTION cineclub.refuse_change();
