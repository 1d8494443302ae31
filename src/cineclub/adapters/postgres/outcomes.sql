-- name: outcomes
-- What became of the answers of a period, by model and strategy; a row of nulls beside the size of the catalogue if there are none.
WITH given AS (
    {given}
), taken AS (
    -- the index on user and time finds the few answers that a rating may belong to
    SELECT shown.recommendation_id, count(*) AS n_films, sum(given.rating) AS rating_sum
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
), answers AS MATERIALIZED (
    SELECT recommendation_id, answered_at, user_id, model_name, model_version, strategy, movie_ids
    FROM cineclub.predictions
    WHERE answered_at >= %(since)s AND answered_at < %(until)s
), answered AS (
    SELECT a.model_name, a.model_version, a.strategy,
        count(*) AS n_answers,
        count(*) FILTER (WHERE a.user_id IS NULL) AS n_anonymous,
        count(*) FILTER (WHERE a.user_id IS NOT NULL
            AND a.answered_at > %(until)s - make_interval(secs => %(window_seconds)s::double precision)) AS n_open,
        count(taken.recommendation_id) AS n_hits,
        coalesce(sum(taken.n_films), 0)::bigint AS n_taken,
        coalesce(sum(taken.rating_sum), 0) AS taken_rating_sum
    FROM answers a
    LEFT JOIN taken USING (recommendation_id)
    GROUP BY a.model_name, a.model_version, a.strategy
), catalogue AS (
    SELECT count(*) AS n_movies FROM cineclub.movies
), popular AS (
    SELECT counted.movie_id FROM ({counted}) AS counted
    ORDER BY counted.n_ratings DESC, counted.movie_id
    LIMIT (SELECT (n_movies + %(popular_part)s - 1) / %(popular_part)s FROM catalogue)
), films AS (
    SELECT shown.model_name, shown.model_version, shown.strategy,
        sum(shown.n_times)::bigint AS n_shown,
        coalesce(sum(shown.n_times) FILTER (WHERE popular.movie_id IS NOT NULL), 0)::bigint AS n_popular_shown,
        count(*) AS n_different_shown
    FROM (
        SELECT a.model_name, a.model_version, a.strategy, film.movie_id, count(*) AS n_times
        FROM answers a CROSS JOIN LATERAL unnest(a.movie_ids) AS film (movie_id)
        GROUP BY a.model_name, a.model_version, a.strategy, film.movie_id
    ) AS shown
    LEFT JOIN popular USING (movie_id)
    GROUP BY shown.model_name, shown.model_version, shown.strategy
)
SELECT catalogue.n_movies, answered.*,
    coalesce(films.n_shown, 0) AS n_shown,
    coalesce(films.n_popular_shown, 0) AS n_popular_shown,
    coalesce(films.n_different_shown, 0) AS n_different_shown
FROM catalogue
LEFT JOIN answered ON true
LEFT JOIN films ON films.strategy = answered.strategy
    AND films.model_name IS NOT DISTINCT FROM answered.model_name
    AND films.model_version IS NOT DISTINCT FROM answered.model_version;

-- name: given_internal
-- The ratings of a period, with the user's own id as the log has it.
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
-- How often each film was rated.
SELECT movie_id, count(*) AS n_ratings FROM cineclub.ratings GROUP BY movie_id

-- name: counted_external
-- The same out of the owner's views.
SELECT m.id AS movie_id, c.n_ratings
FROM (SELECT movie_id::text AS external_id, count(*) AS n_ratings FROM {schema}.ratings GROUP BY 1) AS c
JOIN cineclub.movies m USING (external_id)

-- name: limit_time
-- Let PostgreSQL end the statements of this transaction after so long.
SELECT set_config('statement_timeout', %(milliseconds)s, true);

-- name: forget_erased
-- Who was erased long enough ago that no answer of theirs can be on its way any more.
DELETE FROM cineclub.erased_lately WHERE erased_at < clock_timestamp() - interval '1 day';

-- name: delete_old
-- Delete some of the answers from before a time, the oldest first; what another process deletes is left to it.
DELETE FROM cineclub.predictions
WHERE recommendation_id = ANY(ARRAY(
    SELECT recommendation_id FROM cineclub.predictions
    WHERE answered_at < %(before)s
    ORDER BY answered_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
));
