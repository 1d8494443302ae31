-- name: ratings_internal
-- The ratings of a period, in the columns of copy_stream.
COPY (
    SELECT r.user_id, r.movie_id, r.rating, r.rated_at FROM cineclub.ratings r
    WHERE r.rated_at >= {starts_at} AND r.rated_at < {ends_at}
) TO STDOUT (FORMAT BINARY);

-- name: ratings_external
-- The same out of the owner's views. Users and movies that have no internal id yet get a negative one, a hash of theirs;
-- rows that break the contract are left out (`cineclub doctor` reports them).
COPY (
    SELECT coalesce(u.id, -1 - (hashtextextended(r.user_id::text, 0) & 9223372036854775807)),
        coalesce(m.id, -1 - (hashtextextended(r.movie_id::text, 0) & 9223372036854775807)),
        r.rating::real, r.rated_at
    FROM {schema}.ratings r
    LEFT JOIN cineclub.users u ON u.external_id = r.user_id::text
    LEFT JOIN cineclub.movies m ON m.external_id = r.movie_id::text
    WHERE r.rated_at >= {starts_at} AND r.rated_at < {ends_at}
        AND r.user_id IS NOT NULL AND r.movie_id IS NOT NULL AND r.rating::float8 BETWEEN '-3.4e38' AND '3.4e38'
) TO STDOUT (FORMAT BINARY);

-- name: known_before_internal
-- The numbers of these users and movies that have a rating from before a time; one index lookup each.
SELECT (
    SELECT count(*) FROM unnest(%(user_ids)s::bigint[]) AS u (id) CROSS JOIN LATERAL (
        SELECT FROM cineclub.ratings r WHERE r.user_id = u.id AND r.rated_at < %(starts_at)s LIMIT 1
    ) AS earlier
) AS n_users, (
    SELECT count(*) FROM unnest(%(movie_ids)s::bigint[]) AS m (id) CROSS JOIN LATERAL (
        SELECT FROM cineclub.ratings r WHERE r.movie_id = m.id AND r.rated_at < %(starts_at)s LIMIT 1
    ) AS earlier
) AS n_movies;

-- name: known_before_external
-- The same out of the owner's views, which may have no index.
SELECT (
    SELECT count(*)
    FROM (SELECT DISTINCT r.user_id::text AS id FROM {schema}.ratings r WHERE r.rated_at < %(starts_at)s) AS earlier
    LEFT JOIN cineclub.users u ON u.external_id = earlier.id
    WHERE coalesce(u.id, -1 - (hashtextextended(earlier.id, 0) & 9223372036854775807)) = ANY (%(user_ids)s::bigint[])
) AS n_users, (
    SELECT count(*)
    FROM (SELECT DISTINCT r.movie_id::text AS id FROM {schema}.ratings r WHERE r.rated_at < %(starts_at)s) AS earlier
    LEFT JOIN cineclub.movies m ON m.external_id = earlier.id
    WHERE coalesce(m.id, -1 - (hashtextextended(earlier.id, 0) & 9223372036854775807)) = ANY (%(movie_ids)s::bigint[])
) AS n_movies;

-- name: movie_traits
-- Movies by their genres, and by their year.
SELECT grouping(genres) = 1 AS is_by_year, genres, year, array_agg(id) AS movie_ids
FROM cineclub.movies WHERE id = ANY (%(movie_ids)s::bigint[])
GROUP BY GROUPING SETS ((genres), (year));

-- name: extent_internal
-- The times of the oldest and the newest rating.
SELECT min(rated_at) AS oldest, max(rated_at) AS newest FROM cineclub.ratings WHERE rated_at < %(ends_at)s;

-- name: extent_external
-- The same out of the owner's views.
SELECT min(rated_at) AS oldest, max(rated_at) AS newest FROM {schema}.ratings WHERE rated_at < %(ends_at)s;

-- name: window_sizes_internal
-- The number of ratings in each window.
SELECT (
    SELECT count(*) FROM cineclub.ratings r WHERE r.rated_at >= w.starts_at AND r.rated_at < w.ends_at
) AS n_ratings
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w (starts_at, ends_at);

-- name: window_sizes_external
-- The same out of the owner's views.
SELECT (
    SELECT count(*) FROM {schema}.ratings r WHERE r.rated_at >= w.starts_at AND r.rated_at < w.ends_at
) AS n_ratings
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS w (starts_at, ends_at);

-- name: scale
-- The rating scale, as the last import or training stored it.
SELECT scale_lowest AS lowest, scale_highest AS highest FROM cineclub.catalogue;

-- name: settings
-- Limits of the statements of this transaction: time, memory, and no compilation, which takes longer than it saves.
SELECT set_config('statement_timeout', %(milliseconds)s, true), set_config('work_mem', '64MB', true),
    set_config('jit', 'off', true);

-- name: response_counts
-- The number of responses in each period, of those while a personal model served, and of popular lists among these.
SELECT counted.*
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS w (starts_at, ends_at, nth)
CROSS JOIN LATERAL (
    SELECT count(*) AS n_responses,
        count(*) FILTER (WHERE p.model_version IS NOT NULL AND p.model_name <> 'popular') AS n_with_model,
        count(*) FILTER (WHERE p.model_version IS NOT NULL AND p.model_name <> 'popular' AND p.strategy = 'popular')
            AS n_cold_starts
    FROM cineclub.predictions p WHERE p.answered_at >= w.starts_at AND p.answered_at < w.ends_at
) AS counted
ORDER BY w.nth;

-- name: responses
-- Movies and scores in a sample of the responses of each period, drawn by a hash of their ids.
WITH drawn AS MATERIALIZED (
    SELECT w.nth, d.movie_ids, d.scores, d.is_scored, d.place
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[], %(parts)s::float8[]) WITH ORDINALITY
        AS w (starts_at, ends_at, part, nth)
    CROSS JOIN LATERAL (
        SELECT p.movie_ids, p.scores,
            p.strategy = 'model' AND p.model_version = %(model_version)s::integer AS is_scored,
            row_number() OVER (ORDER BY uuid_hash_extended(p.recommendation_id, 0), p.recommendation_id) AS place
        FROM cineclub.predictions p
        WHERE p.answered_at >= w.starts_at AND p.answered_at < w.ends_at
            AND uuid_hash_extended(p.recommendation_id, 0) & 9223372036854775807 <= w.part * 9223372036854775807
        ORDER BY place LIMIT %(sample_size)s
    ) AS d
), shown AS MATERIALIZED (
    SELECT d.nth, each.movie_id, count(*) AS n_times,
        count(*) FILTER (WHERE d.place <= %(coverage_size)s) AS n_covered
    FROM drawn d CROSS JOIN LATERAL unnest(d.movie_ids) AS each (movie_id)
    GROUP BY d.nth, each.movie_id
), of_movies AS (
    SELECT s.nth, sum(s.n_times)::float8 AS n_shown, count(*) FILTER (WHERE s.n_covered > 0) AS n_covered,
        coalesce(sum(s.n_times) FILTER (WHERE head.movie_id IS NOT NULL), 0)::float8 AS n_head,
        sum(s.n_times)::float8 ^ 2 / sum(s.n_times::float8 ^ 2) AS effective_movies
    FROM shown s
    LEFT JOIN unnest(%(head_movie_ids)s::bigint[]) AS head (movie_id) USING (movie_id)
    GROUP BY s.nth
), genres AS (
    SELECT g.nth, jsonb_object_agg(g.name, g.n_shown) AS genres
    FROM (
        SELECT s.nth, label.name, sum(s.n_times * label.part) AS n_shown
        FROM shown s
        LEFT JOIN cineclub.movies m ON m.id = s.movie_id
        CROSS JOIN LATERAL (
            SELECT genre AS name, 1.0::float8 / count(*) OVER () AS part
            FROM (
                SELECT DISTINCT unnest(
                    CASE WHEN cardinality(m.genres) > 0 THEN m.genres ELSE ARRAY[%(no_genre)s::text] END
                ) AS genre
            ) AS each
        ) AS label
        GROUP BY s.nth, label.name
    ) AS g
    GROUP BY g.nth
), scores AS MATERIALIZED (
    SELECT d.nth, each.score::float8 AS score
    FROM drawn d CROSS JOIN LATERAL unnest(d.scores) AS each (score)
    WHERE d.is_scored AND each.score BETWEEN '-3.4e38'::real AND '3.4e38'::real
), ends AS (
    -- of the earlier periods, without outliers: one extreme score of the newest must not put all others in one bin
    SELECT percentile_cont(0.01) WITHIN GROUP (ORDER BY score) AS lowest,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY score) AS highest
    FROM scores WHERE nth < cardinality(%(starts)s::timestamptz[])
), binned AS (
    SELECT s.nth, CASE WHEN ends.highest > ends.lowest THEN floor(greatest(least(
            (s.score - ends.lowest) / (ends.highest - ends.lowest) * %(n_bins)s::integer, %(n_bins)s::integer - 1
        ), 0)) ELSE 0 END::integer AS bin
    FROM scores s CROSS JOIN ends
), scored AS (
    SELECT nth, count(*) FILTER (WHERE is_scored) AS n_scored FROM drawn GROUP BY nth
), of_scores AS (
    SELECT nth, jsonb_object_agg(bin, n_scores) AS scores
    FROM (SELECT nth, bin, count(*) AS n_scores FROM binned GROUP BY nth, bin) AS counted
    GROUP BY nth
)
SELECT f.nth::integer AS nth, f.n_shown, f.n_covered, f.n_head, f.effective_movies, coalesce(g.genres, '{{}}') AS genres,
    coalesce(o.scores, '{{}}') AS scores, scored.n_scored, (SELECT count(*) FROM cineclub.movies) AS n_movies
FROM of_movies f JOIN scored USING (nth) LEFT JOIN genres g USING (nth) LEFT JOIN of_scores o USING (nth);
