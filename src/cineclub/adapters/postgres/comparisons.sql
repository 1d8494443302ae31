-- name: pairs
-- Outcomes of the compared responses of a period by purpose and versions, with counts for each user.
WITH given AS (
    {given}
), credited AS (
    -- a rating is credited to the last compared response of a pair in which either list has the movie
    SELECT shown.purpose, shown.served_version, shown.other_version, given.user_id,
        given.rating >= %(liked_part)s::float8 * (SELECT scale_highest FROM cineclub.catalogue) - 1e-6 AS is_liked,
        given.movie_id = ANY(shown.served_movie_ids) AS by_served,
        given.movie_id = ANY(shown.other_movie_ids) AS by_other
    FROM given
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (c.purpose, c.served_version, c.other_version)
            c.purpose, c.served_version, c.other_version, c.served_movie_ids, c.other_movie_ids
        FROM cineclub.comparisons c
        WHERE c.user_id = given.user_id
            AND c.compared_at >= greatest(%(since)s, given.rated_at - make_interval(secs => %(window_seconds)s::double precision))
            AND c.compared_at < given.rated_at
            AND (given.movie_id = ANY(c.served_movie_ids) OR given.movie_id = ANY(c.other_movie_ids))
        ORDER BY c.purpose, c.served_version, c.other_version, c.compared_at DESC, c.recommendation_id DESC
    ) AS shown
), users AS (
    SELECT purpose, served_version, other_version, user_id,
        count(*) FILTER (WHERE by_served) AS n_served_taken,
        count(*) FILTER (WHERE by_other) AS n_other_taken,
        count(*) FILTER (WHERE is_liked) AS n_liked,
        count(*) FILTER (WHERE is_liked AND NOT by_other) AS n_served_only,
        count(*) FILTER (WHERE is_liked AND NOT by_served) AS n_other_only
    FROM credited
    GROUP BY purpose, served_version, other_version, user_id
), outcomes AS (
    SELECT purpose, served_version, other_version,
        sum(n_served_taken)::bigint AS n_served_taken,
        sum(n_other_taken)::bigint AS n_other_taken,
        array_agg(ARRAY[n_served_only, n_other_only, n_liked - n_served_only - n_other_only] ORDER BY user_id)
            FILTER (WHERE n_liked > 0) AS people
    FROM users
    GROUP BY purpose, served_version, other_version
), responses AS (
    SELECT purpose, served_version, other_version,
        count(*) AS n_answers,
        count(*) FILTER (WHERE user_id IS NULL) AS n_anonymous,
        avg(overlap) AS mean_overlap,
        avg(rank_overlap) AS mean_rank_overlap
    FROM cineclub.comparisons
    WHERE compared_at >= %(since)s AND compared_at < %(until)s
    GROUP BY purpose, served_version, other_version
)
SELECT responses.*,
    coalesce(outcomes.n_served_taken, 0) AS n_served_taken,
    coalesce(outcomes.n_other_taken, 0) AS n_other_taken,
    coalesce(outcomes.people, '{{}}') AS people
FROM responses
LEFT JOIN outcomes USING (purpose, served_version, other_version)
ORDER BY responses.served_version DESC, responses.other_version DESC, responses.purpose;

-- name: write
-- Store compared responses; one that an interrupted attempt has stored already stays as it is.
INSERT INTO cineclub.comparisons (recommendation_id, purpose, compared_at, user_id, served_version, other_version,
    served_movie_ids, other_movie_ids, overlap, rank_overlap)
VALUES (%(recommendation_id)s, %(purpose)s, %(compared_at)s, %(user_id)s, %(served_version)s, %(other_version)s,
    %(served_movie_ids)s, %(other_movie_ids)s, %(overlap)s, %(rank_overlap)s)
ON CONFLICT (recommendation_id, purpose) DO NOTHING;

-- name: delete_old
-- Delete some of the compared responses from before a time; rows that another process is deleting are skipped.
DELETE FROM cineclub.comparisons
WHERE (recommendation_id, purpose) IN (
    SELECT recommendation_id, purpose FROM cineclub.comparisons
    WHERE compared_at < %(before)s
    ORDER BY compared_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
);

-- name: checks
-- The checks of probations, newest first.
SELECT * FROM cineclub.probation_looks ORDER BY promotion_id DESC, nth DESC LIMIT %(limit)s;

-- name: record_check
-- Store a check, unless another process has stored it already.
INSERT INTO cineclub.probation_looks (promotion_id, nth, looked_at, served_version, former_version, verdict, n_people,
    difference, low, high, confidence, summary)
VALUES (%(promotion_id)s, %(nth)s, %(looked_at)s, %(served_version)s, %(former_version)s, %(verdict)s, %(n_people)s,
    %(difference)s, %(low)s, %(high)s, %(confidence)s, %(summary)s)
ON CONFLICT (promotion_id, nth) DO NOTHING;
