-- name: withdraw_others
-- Withdraw the version that a training registered earlier in the same role.
UPDATE cineclub.versions SET withdrawn_at = clock_timestamp()
WHERE training_id = %(training_id)s AND role = %(role)s AND withdrawn_at IS NULL
  AND (version, manifest_sha256) <> (%(version)s, %(manifest_sha256)s);

-- name: note
-- Record a version, once.
INSERT INTO cineclub.versions
    (version, manifest_sha256, registered_at, training_id, role, recipe, verdict, reason, metrics, tags,
     snapshot_sha256, snapshot_n_ratings, snapshot_newest_rated_at, code_version)
VALUES
    (%(version)s, %(manifest_sha256)s, %(registered_at)s, %(training_id)s, %(role)s, %(recipe)s, %(verdict)s,
     %(reason)s, %(metrics)s, %(tags)s, %(snapshot_sha256)s, %(snapshot_n_ratings)s, %(snapshot_newest_rated_at)s,
     %(code_version)s)
ON CONFLICT (version, manifest_sha256) DO NOTHING;

-- name: withdraw
-- Mark a version that its training has replaced.
UPDATE cineclub.versions SET withdrawn_at = clock_timestamp()
WHERE version = %(version)s AND manifest_sha256 = %(manifest_sha256)s AND withdrawn_at IS NULL;

-- name: get
-- A version that was not withdrawn.
SELECT * FROM cineclub.versions WHERE version = %(version)s AND withdrawn_at IS NULL
ORDER BY registered_at DESC LIMIT 1;

-- name: rejection
-- The gate's reason for rejecting a version.
SELECT reason FROM cineclub.versions
WHERE version = %(version)s AND manifest_sha256 = %(manifest_sha256)s AND verdict = 'REJECT';

-- name: noted_since
-- The time when the table of versions was created.
SELECT applied_at AS since FROM cineclub.schema_migrations WHERE version = 11;

-- name: manifests
-- Every version that was ever registered.
SELECT version, manifest_sha256 FROM cineclub.versions;

-- name: recent
-- The versions that were not withdrawn, newest first.
SELECT * FROM cineclub.versions
WHERE withdrawn_at IS NULL AND version < coalesce(%(before)s::integer, 2147483647)
ORDER BY version DESC, registered_at DESC LIMIT %(limit)s;

-- name: challenger
-- The newest version that may serve next: newer than production or of its training, neither rejected nor refused.
SELECT v.* FROM cineclub.versions v
CROSS JOIN (SELECT version, training_id FROM cineclub.promotions ORDER BY id DESC LIMIT 1) AS serving
WHERE v.withdrawn_at IS NULL AND v.verdict <> 'REJECT'
    AND (v.version > serving.version OR v.training_id = serving.training_id)
    AND NOT EXISTS (
        SELECT FROM cineclub.promotions p WHERE p.version = v.version AND p.manifest_sha256 = v.manifest_sha256)
    AND NOT EXISTS (SELECT FROM cineclub.refusals r WHERE r.version = v.version)
ORDER BY v.version DESC, v.registered_at DESC LIMIT 1;

-- name: refuse
-- Record a refused promotion; a repeated attempt of the alias or of probation only once.
INSERT INTO cineclub.refusals (version, asked_by, reason)
SELECT %(version)s, %(asked_by)s, %(reason)s
WHERE %(asked_by)s NOT IN ('outside', 'probation') OR NOT EXISTS (
    SELECT FROM (SELECT * FROM cineclub.refusals ORDER BY id DESC LIMIT 1) AS newest
    WHERE newest.version = %(version)s AND newest.asked_by = %(asked_by)s
        AND (newest.reason = %(reason)s OR newest.asked_by = 'probation')
);

-- name: refusals
-- The refusals, newest first.
SELECT * FROM cineclub.refusals WHERE %(before)s::bigint IS NULL OR id < %(before)s ORDER BY id DESC LIMIT %(limit)s;

-- name: refusal_counts
-- The number of refused promotions by requester.
SELECT asked_by, count(*) AS n_refusals FROM cineclub.refusals GROUP BY asked_by;

-- name: alias
-- The versions that the alias names if only cineclub moved it.
SELECT version, moving_to FROM cineclub.synced_alias;

-- name: alias_is_moving
-- Record the version that the alias is about to name.
UPDATE cineclub.synced_alias SET moving_to = %(version)s;

-- name: alias_has_moved
-- Record the version that the alias names.
UPDATE cineclub.synced_alias SET version = %(version)s, moving_to = NULL, synced_at = clock_timestamp();

-- name: alone
-- Exclude other processes that move the alias, for as long as the session lives.
SELECT pg_advisory_lock(%(family)s, %(alias)s);

-- name: installation
-- The identity of this installation, and its registry.
SELECT installation_id::text, registry_id::text, registry_address, model_name FROM cineclub.installation;

-- name: record_registry
-- Record the registry that has this installation's versions.
UPDATE cineclub.installation
SET registry_id = %(registry_id)s::uuid, registry_address = %(address)s, model_name = %(model_name)s,
    recorded_at = clock_timestamp();

-- name: own_trainings
-- Those of these trainings that this installation knows.
SELECT id::text FROM cineclub.trainings WHERE id::text = ANY(%(training_ids)s);
