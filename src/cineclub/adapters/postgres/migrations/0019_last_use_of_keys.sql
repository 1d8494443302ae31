-- When a key was used last, to the minute or so: one that nobody uses can be revoked.

ALTER TABLE cineclub.api_keys ADD COLUMN last_used_at timestamptz;
