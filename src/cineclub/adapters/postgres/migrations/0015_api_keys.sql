-- Keys to the API, by the hash of their secret.

CREATE TABLE cineclub.api_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    scopes text[] NOT NULL CHECK (scopes <@ ARRAY['read', 'write', 'admin', 'metrics'] AND scopes <> '{}'),
    secret_sha256 text NOT NULL UNIQUE CHECK (length(secret_sha256) = 64),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
