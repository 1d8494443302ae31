-- name: pairs
-- What became of the compared answers of a period, by purpose and versions, with the outcomes of each person.
WITH given AS (
    {given}
), credited AS (
    -- a rating belongs to the last compared answer of a pair, of which either list held its film
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
), people AS (
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
    FROM people
    GROUP BY purpose, served_version, other_version
), answers AS (
    SELECT purpose, served_version, other_version,
        count(*) AS n_answers,
        count(*) FILTER (WHERE user_id IS NULL) AS n_anonymous,
        avg(overlap) AS mean_overlap,
        avg(rank_overlap) AS mean_rank_overlap
    FROM cineclub.comparisons
    WHERE compared_at >= %(since)s AND compared_at < %(until)s
    GROUP BY purpose, served_version, other_version
)
SELECT answers.*,
    coalesce(outcomes.n_served_taken, 0) AS n_served_taken,
    coalesce(outcomes.n_other_taken, 0) AS n_other_taken,
    coalesce(outcomes.people, '{{}}') AS people
FROM answers
LEFT JOIN outcomes USING (purpose, served_version, other_version)
ORDER BY answers.served_version DESC, answers.other_version DESC, answers.purpose;

-- name: write
-- Keep compared answers; one that an interrupted try has kept already stays as it is.
INSERT INTO cineclub.comparisons (recommendation_id, purpose, compared_at, user_id, served_version, other_version,
    served_movie_ids, other_movie_ids, overlap, rank_overlap)
VALUES (%(recommendation_id)s, %(purpose)s, %(compared_at)s, %(user_id)s, %(served_version)s, %(other_version)s,
    %(served_movie_ids)s, %(other_movie_ids)s, %(overlap)s, %(rank_overlap)s)
ON CONFLICT (recommendation_id, purpose) DO NOTHING;

-- name: delete_old
-- Delete some of the compared answers from before a time; what another process deletes is left to it.
DELETE FROM cineclub.comparisons
WHERE (recommendation_id, purpose) IN (
    SELECT recommendation_id, purpose FROM cineclub.comparisons
    WHERE compared_at < %(before)s
    ORDER BY compared_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
);

-- name: looks
-- The looks at probations, newest first.
SELECT * FROM cineclub.probation_looks ORDER BY promotion_id DESC, nth DESC LIMIT %(limit)s;

-- name: record_look
-- Keep a look, unless another process has made it already.
INSERT INTO cineclub.probation_looks (promotion_id, nth, looked_at, served_version, former_version, verdict, n_people,
    difference, low, high, confidence, summary)
VALUES (%(promotion_id)s, %(nth)s, %(looked_at)s, %(served_version)s, %(former_version)s, %(verdict)s, %(n_people)s,
    %(difference)s, %(low)s, %(high)s, %(confidence)s, %(summary)s)
ON CONFLICT (promotion_id, nth) DO NOTHING;
