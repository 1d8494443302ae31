-- What drift is measured against, and every check of it.

-- The statistics of a version's training data, or those that were taken from the ratings to be pinned.
CREATE TABLE cineclub.drift_baselines (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version integer,
    manifest_sha256 text,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    pinned_at timestamptz,
    document jsonb NOT NULL,
    CHECK ((version IS NULL) = (manifest_sha256 IS NULL)),
    UNIQUE (version, manifest_sha256)
);
CREATE UNIQUE INDEX drift_baselines_one_pinned ON cineclub.drift_baselines ((true)) WHERE pinned_at IS NOT NULL;

-- The same with windows of another length, for checks that ask for one.
CREATE TABLE cineclub.drift_baseline_lengths (
    baseline_id bigint NOT NULL REFERENCES cineclub.drift_baselines (id) ON DELETE CASCADE,
    window_days double precision NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    document jsonb NOT NULL,
    PRIMARY KEY (baseline_id, window_days)
);

CREATE TABLE cineclub.drift_checks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    checked_at timestamptz NOT NULL,
    asked_by text NOT NULL CHECK (asked_by IN ('api', 'cli', 'watch')),
    is_usual boolean NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('OK', 'ALERT', 'NOT_ENOUGH_DATA')),
    summary text NOT NULL,
    distances jsonb NOT NULL,
    document jsonb NOT NULL,
    notice_claimed_at timestamptz,
    notified_at timestamptz,
    followed_at timestamptz,
    training_id uuid
);
CREATE INDEX drift_checks_checked_at_idx ON cineclub.drift_checks (checked_at DESC);

COMMENT ON COLUMN cineclub.drift_checks.is_usual IS 'whether it asked what the settings ask, about what is now';
COMMENT ON COLUMN cineclub.drift_checks.notice_claimed_at IS 'when somebody began to tell whoever wants to know of alerts';
COMMENT ON COLUMN cineclub.drift_checks.notified_at IS 'when that was taken';
COMMENT ON COLUMN cineclub.drift_checks.followed_at IS 'when all that is to follow from it was done';
