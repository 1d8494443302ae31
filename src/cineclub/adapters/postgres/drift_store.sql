-- name: keep_baseline
-- Store the statistics of a version's training data, once.
INSERT INTO cineclub.drift_baselines (version, manifest_sha256, document)
VALUES (%(version)s, %(manifest_sha256)s, %(document)s)
ON CONFLICT (version, manifest_sha256) DO NOTHING;

-- name: of_production
-- The version in production with its baseline; no row before the first promotion.
SELECT p.version AS serving_version, b.id, b.version, b.taken_at, b.document
FROM (SELECT version, manifest_sha256 FROM cineclub.promotions ORDER BY id DESC LIMIT 1) AS p
LEFT JOIN cineclub.drift_baselines b USING (version, manifest_sha256);

-- name: pinned
-- The baseline that a person has pinned.
SELECT id, version, taken_at, document FROM cineclub.drift_baselines WHERE pinned_at IS NOT NULL;

-- name: unpin
-- Unpin the pinned baseline, and delete it if it was taken for the pin.
WITH unpinned AS (
    UPDATE cineclub.drift_baselines SET pinned_at = NULL WHERE pinned_at IS NOT NULL AND version IS NOT NULL
)
DELETE FROM cineclub.drift_baselines WHERE pinned_at IS NOT NULL AND version IS NULL;

-- name: pin_version
-- Pin the baseline of a version; of two registries' equal numbers, the newer one's.
UPDATE cineclub.drift_baselines SET pinned_at = clock_timestamp()
WHERE id = (SELECT max(id) FROM cineclub.drift_baselines WHERE version = %(version)s)
RETURNING id;

-- name: pin_taken
-- Pin a baseline that was taken from the ratings.
INSERT INTO cineclub.drift_baselines (document, pinned_at) VALUES (%(document)s, clock_timestamp());

-- name: of_length
-- A stored baseline with windows of another length.
SELECT document FROM cineclub.drift_baseline_lengths
WHERE baseline_id = %(baseline_id)s AND window_days = %(window_days)s;

-- name: keep_length
-- Store a baseline with windows of another length, if the baseline still exists.
INSERT INTO cineclub.drift_baseline_lengths (baseline_id, window_days, document)
SELECT id, %(window_days)s, %(document)s FROM cineclub.drift_baselines WHERE id = %(baseline_id)s
ON CONFLICT DO NOTHING;

-- name: forget_lengths
-- Delete all but the newest lengths of a baseline: each is as large as the baseline, and requests may name any length.
DELETE FROM cineclub.drift_baseline_lengths WHERE baseline_id = %(baseline_id)s AND window_days NOT IN (
    SELECT window_days FROM cineclub.drift_baseline_lengths
    WHERE baseline_id = %(baseline_id)s ORDER BY kept_at DESC LIMIT %(n_kept)s
);

-- name: record
-- Store a check.
INSERT INTO cineclub.drift_checks (checked_at, asked_by, is_usual, verdict, summary, distances, document)
VALUES (%(checked_at)s, %(asked_by)s, %(is_usual)s, %(verdict)s, %(summary)s, %(distances)s, %(document)s)
RETURNING id;

-- name: recent
-- The checks, newest first.
SELECT * FROM cineclub.past_drift_checks
WHERE %(before)s::bigint IS NULL OR check_id < %(before)s
ORDER BY check_id DESC LIMIT %(limit)s;

-- name: delete_old
-- Delete some of the checks from before a time. Those with the parameters of the settings and those with actions stay for
-- years: the cool-down finds a notice by its check, and may last longer than the log.
DELETE FROM cineclub.drift_checks
WHERE id IN (
    SELECT id FROM cineclub.drift_checks
    WHERE checked_at < %(before)s
    AND (
        NOT is_usual AND notified_at IS NULL AND training_id IS NULL
        OR checked_at < clock_timestamp() - make_interval(years => %(check_years)s)
    )
    AND id IS DISTINCT FROM (SELECT max(id) FROM cineclub.drift_checks WHERE is_usual)
    ORDER BY checked_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
);

-- name: last
-- The newest check with the parameters of the settings, of any origin or of one.
SELECT * FROM cineclub.past_drift_checks
WHERE is_usual AND asked_by = coalesce(%(asked_by)s::text, asked_by)
ORDER BY check_id DESC LIMIT 1;

-- name: claim_notice
-- Claim the notice of an alert, unless one was sent within the cool-down or is claimed by a process that lives.
UPDATE cineclub.drift_checks SET notice_claimed_at = clock_timestamp()
WHERE id = %(check_id)s AND NOT EXISTS (
    SELECT FROM cineclub.drift_checks
    WHERE notified_at > clock_timestamp() - make_interval(secs => %(cooldown_seconds)s)
    OR notified_at IS NULL
    AND notice_claimed_at > clock_timestamp() - make_interval(secs => least(%(cooldown_seconds)s, %(claim_seconds)s))
);

-- name: settle_notice
-- Record that the notice was sent, or that it was not.
UPDATE cineclub.drift_checks SET
    notified_at = CASE WHEN %(is_sent)s THEN clock_timestamp() END,
    notice_claimed_at = CASE WHEN %(is_sent)s THEN notice_claimed_at END
WHERE id = %(check_id)s;

-- name: note_followed
-- Record that every action of an alert was taken, unless its notice is claimed and not settled.
UPDATE cineclub.drift_checks SET followed_at = clock_timestamp()
WHERE id = %(check_id)s AND (notice_claimed_at IS NULL OR notified_at IS NOT NULL);

-- name: unfollowed
-- The newest alert of the service's own checks within the cool-down of which an action is missing.
SELECT * FROM cineclub.past_drift_checks WHERE check_id = (
    SELECT max(id) FROM cineclub.drift_checks
    WHERE is_usual AND asked_by = 'watch' AND verdict = 'ALERT' AND followed_at IS NULL
    AND checked_at > clock_timestamp() - make_interval(secs => %(cooldown_seconds)s)
);

-- name: start_training
-- Queue a training because of drift, unless one is under way or drift started one within the cool-down.
INSERT INTO cineclub.trainings (id, status, reason, requested_at, trigger)
SELECT %(training_id)s, 'queued', %(reason)s, clock_timestamp(), 'drift'
WHERE NOT EXISTS (
    SELECT FROM cineclub.trainings
    WHERE trigger = 'drift' AND requested_at > clock_timestamp() - make_interval(secs => %(cooldown_seconds)s)
)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: note_training
-- Record the training that a check has started.
UPDATE cineclub.drift_checks SET training_id = %(training_id)s WHERE id = %(check_id)s;

-- name: one_at_a_time
-- Exclude other processes that act on an alert or pin, until the end of the transaction.
SELECT pg_advisory_xact_lock(%(family)s, %(drift)s);
