-- Checks of drift as people read of them later: without the whole document, with what moved how far.

CREATE VIEW cineclub.past_drift_checks AS
SELECT id AS check_id, checked_at, asked_by, is_usual, verdict, summary, distances,
    (
        SELECT coalesce(jsonb_object_agg(one ->> 'name', one -> 'change_pct'), '{}')
        FROM jsonb_array_elements(document #> '{comparisons,0,statistics}') AS each (one)
        WHERE one ->> 'change_pct' IS NOT NULL
    ) AS changes,
    jsonb_path_query_array(document, '$.comparisons[0].segments[0 to 2]') AS segments,
    training_id, notified_at
FROM cineclub.drift_checks;
