-- name: create
-- A new key.
INSERT INTO cineclub.api_keys (name, scopes, secret_sha256, expires_at)
VALUES (%(name)s, %(scopes)s, %(secret_sha256)s, %(expires_at)s)
RETURNING *;

-- name: all
-- Every key there was.
SELECT * FROM cineclub.api_keys ORDER BY id;

-- name: revoke
-- A key that opens nothing any more; it stays on record.
UPDATE cineclub.api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = %(key_id)s RETURNING *;
