-- name: create
-- Store a new key.
INSERT INTO cineclub.api_keys (name, scopes, secret_sha256, expires_at)
VALUES (%(name)s, %(scopes)s, %(secret_sha256)s, %(expires_at)s)
RETURNING *;

-- name: all
-- Every key, revoked and expired ones too.
SELECT * FROM cineclub.api_keys ORDER BY id;

-- name: note_uses
-- Store the last uses that one process has seen. Processes lock the rows in the same order, so that none deadlocks.
WITH used AS (
    SELECT k.id, given.at
    FROM unnest(%(key_ids)s::integer[], %(times)s::timestamptz[]) AS given (key_id, at)
    JOIN cineclub.api_keys k ON k.id = given.key_id
    ORDER BY k.id
    FOR UPDATE OF k
)
UPDATE cineclub.api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
FROM used
WHERE k.id = used.id;

-- name: revoke
-- Revoke a key; its row stays.
UPDATE cineclub.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %(key_id)s RETURNING *;
