-- name: outcomes
-- Outcomes of the responses of a period by model and strategy; without responses one row of nulls beside the
-- size of the catalogue.
WITH given AS (
    {given}
), taken AS (
    -- the index on user and time finds the few responses that a rating may belong to
    SELECT shown.recommendation_id, count(*) AS n_movies, sum(given.rating) AS rating_sum
    FROM given
    CROSS JOIN LATERAL (
        SELECT p.recommendation_id FROM cineclub.predictions p
        WHERE p.user_id = given.user_id
            AND p.answered_at >= greatest(%(since)s, given.rated_at - make_interval(secs => %(window_seconds)s::double precision))
            AND p.answered_at < given.rated_at
            AND given.movie_id = ANY(p.movie_ids)
        ORDER BY p.answered_at DESC, p.recommendation_id DESC LIMIT 1
    ) AS shown
    GROUP BY shown.recommendation_id
), responses AS MATERIALIZED (
    SELECT recommendation_id, answered_at, user_id, model_name, model_version, strategy, movie_ids
    FROM cineclub.predictions
    WHERE answered_at >= %(since)s AND answered_at < %(until)s
), by_strategy AS (
    SELECT r.model_name, r.model_version, r.strategy,
        count(*) AS n_answers,
        count(*) FILTER (WHERE r.user_id IS NULL) AS n_anonymous,
        count(*) FILTER (WHERE r.user_id IS NOT NULL
            AND r.answered_at > %(until)s - make_interval(secs => %(window_seconds)s::double precision)) AS n_open,
        count(taken.recommendation_id) AS n_hits,
        coalesce(sum(taken.n_movies), 0)::bigint AS n_taken,
        coalesce(sum(taken.rating_sum), 0) AS taken_rating_sum
    FROM responses r
    LEFT JOIN taken USING (recommendation_id)
    GROUP BY r.model_name, r.model_version, r.strategy
), catalogue AS (
    SELECT count(*) AS n_movies FROM cineclub.movies
), popular AS (
    SELECT counted.movie_id FROM ({counted}) AS counted
    ORDER BY counted.n_ratings DESC, counted.movie_id
    LIMIT (SELECT (n_movies + %(popular_part)s - 1) / %(popular_part)s FROM catalogue)
), movies AS (
    SELECT shown.model_name, shown.model_version, shown.strategy,
        sum(shown.n_times)::bigint AS n_shown,
        coalesce(sum(shown.n_times) FILTER (WHERE popular.movie_id IS NOT NULL), 0)::bigint AS n_popular_shown,
        count(*) AS n_different_shown
    FROM (
        SELECT r.model_name, r.model_version, r.strategy, movie.movie_id, count(*) AS n_times
        FROM responses r CROSS JOIN LATERAL unnest(r.movie_ids) AS movie (movie_id)
        GROUP BY r.model_name, r.model_version, r.strategy, movie.movie_id
    ) AS shown
    LEFT JOIN popular USING (movie_id)
    GROUP BY shown.model_name, shown.model_version, shown.strategy
)
SELECT catalogue.n_movies, by_strategy.*,
    coalesce(movies.n_shown, 0) AS n_shown,
    coalesce(movies.n_popular_shown, 0) AS n_popular_shown,
    coalesce(movies.n_different_shown, 0) AS n_different_shown
FROM catalogue
LEFT JOIN by_strategy ON true
LEFT JOIN movies ON movies.strategy = by_strategy.strategy
    AND movies.model_name IS NOT DISTINCT FROM by_strategy.model_name
    AND movies.model_version IS NOT DISTINCT FROM by_strategy.model_version;

-- name: given_internal
-- The ratings of a period, with the external user id that the log has.
SELECT u.external_id AS user_id, r.movie_id, r.rating::float8 AS rating, r.rated_at
FROM cineclub.ratings r
JOIN cineclub.users u ON u.id = r.user_id
WHERE r.rated_at > %(since)s AND r.rated_at <= %(until)s

-- name: given_external
-- The same out of the owner's views.
SELECT r.user_id::text AS user_id, m.id AS movie_id, r.rating::float8 AS rating, r.rated_at::timestamptz AS rated_at
FROM {schema}.ratings r
JOIN cineclub.movies m ON m.external_id = r.movie_id::text
WHERE r.rated_at > %(since)s AND r.rated_at <= %(until)s

-- name: counted_internal
-- The number of ratings of each movie.
SELECT movie_id, count(*) AS n_ratings FROM cineclub.ratings GROUP BY movie_id

-- name: counted_external
-- The same out of the owner's views.
SELECT m.id AS movie_id, c.n_ratings
FROM (SELECT movie_id::text AS external_id, count(*) AS n_ratings FROM {schema}.ratings GROUP BY 1) AS c
JOIN cineclub.movies m USING (external_id)

-- name: limit_time
-- Limit the time of the statements of this transaction.
SELECT set_config('statement_timeout', %(milliseconds)s, true);

-- name: forget_erased
-- Delete the ids of users whose last responses can no longer be on their way to the log.
DELETE FROM cineclub.erased_lately WHERE erased_at < clock_timestamp() - interval '1 day';

-- name: delete_old
-- Delete some of the responses from before a time, oldest first; rows that another process is deleting are skipped.
DELETE FROM cineclub.predictions
WHERE recommendation_id = ANY(ARRAY(
    SELECT recommendation_id FROM cineclub.predictions
    WHERE answered_at < %(before)s
    ORDER BY answered_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
));
