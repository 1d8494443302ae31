-- name: erased_after_learning
-- The newest erasure that the version in production may precede: the user's ratings were there when its training read.
-- A version that an earlier attempt registered was read after the request of the training, not after its last start.
SELECT max(erasures.erased_at) AS erased_at
FROM (SELECT version, manifest_sha256, promoted_at FROM cineclub.promotions ORDER BY id DESC LIMIT 1) AS serving
LEFT JOIN cineclub.versions USING (version, manifest_sha256)
LEFT JOIN cineclub.trainings ON trainings.id = versions.training_id
JOIN cineclub.erasures ON erasures.erased_at >= coalesce(
    CASE WHEN versions.registered_at < trainings.started_at THEN trainings.requested_at ELSE trainings.started_at END,
    versions.registered_at,
    serving.promoted_at
);
