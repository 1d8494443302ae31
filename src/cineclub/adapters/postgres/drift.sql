-- name: given_internal
-- The ratings of a period, each with a number that looks random and is the same whenever it is asked for.
SELECT r.user_id, r.movie_id, r.rating::float8 AS rating, hashint8extended(r.movie_id, r.user_id) AS draw
FROM cineclub.ratings r
WHERE r.rated_at >= %(starts_at)s AND r.rated_at < %(ends_at)s

-- name: given_external
-- The same out of the owner's views.
SELECT r.user_id, r.movie_id, r.rating::real::float8 AS rating,
    hashtextextended(r.movie_id::text, hashtextextended(r.user_id::text, 0)) AS draw
FROM {schema}.ratings r
WHERE r.rated_at >= %(starts_at)s AND r.rated_at < %(ends_at)s

-- name: rated_before_internal
-- Whether a user or film was rated before the period; asked one by one, because an index answers each at once.
LEFT JOIN LATERAL (
    SELECT true AS is_known FROM cineclub.ratings r
    WHERE r.{column} = p.{column} AND r.rated_at < %(starts_at)s LIMIT 1
) AS earlier ON true

-- name: rated_before_external
-- The same out of the owner's views, which may have no index.
LEFT JOIN (
    SELECT r.{column}, true AS is_known FROM {schema}.ratings r WHERE r.rated_at < %(starts_at)s GROUP BY r.{column}
) AS earlier ON earlier.{column} = p.{column}

-- name: drawn_users_internal
-- An order of users that looks random and is always the same.
hashint8extended(user_id, 0)

-- name: drawn_users_external
-- The same for users of the owner's views.
hashtextextended(user_id::text, 0)

-- name: film_internal
-- How a film of a rating is found among the films.
m.id = p.movie_id

-- name: film_external
-- The same for a rating of the owner's views.
m.external_id = p.movie_id::text

-- name: ratings
-- The ratings of a period in numbers: read once, counted by user and by film in one pass, everything else from there.
WITH given AS MATERIALIZED (
    {given}
), parts AS MATERIALIZED (
    SELECT grouping(b.movie_id) = 1 AS is_of_user, b.user_id, b.movie_id,
        count(*) AS n_ratings, sum(b.rating) AS rating_sum, {counted_bins}
    FROM (
        -- the arithmetic of domain.statistics, so that a rating on the edge of two parts falls into the same one
        SELECT g.user_id, g.movie_id, g.rating, greatest(least(floor(
            (g.rating - %(lowest)s::float8) * %(steps)s::float8), %(n_bins)s::integer - 1), 0)::integer AS bin
        FROM given g
    ) AS b
    GROUP BY GROUPING SETS ((b.user_id), (b.movie_id))
), users AS MATERIALIZED (
    SELECT * FROM parts WHERE is_of_user
), asked_users AS (
    -- in the order of their ratings, so that each page is read once; of very many some stand for all
    SELECT coalesce(earlier.is_known, false) AS is_known
    FROM (
        SELECT * FROM (
            SELECT user_id FROM users ORDER BY {drawn_users}, user_id LIMIT %(users_asked)s
        ) AS few ORDER BY user_id
    ) AS p
    {users_before}
), films AS MATERIALIZED (
    SELECT p.*, coalesce(earlier.is_known, false) AS is_known, head.movie_id IS NOT NULL AS is_head,
        CASE WHEN cardinality(m.genres) > 0 THEN m.genres ELSE ARRAY[%(no_genre)s::text] END AS genres,
        coalesce((floor(m.year / 10.0) * 10)::integer::text, %(no_year)s::text) AS decade
    FROM (SELECT * FROM parts WHERE NOT is_of_user ORDER BY movie_id) AS p
    LEFT JOIN cineclub.movies m ON {film}
    LEFT JOIN unnest(%(head_movie_ids)s::bigint[]) AS head (movie_id) ON head.movie_id = m.id
    {films_before}
), labelled AS (
    SELECT 'genre' AS dimension, label.name, label.part, f.n_ratings, f.rating_sum, {bins}
    FROM films f CROSS JOIN LATERAL (
        SELECT genre AS name, 1.0::float8 / count(*) OVER () AS part
        FROM (SELECT DISTINCT unnest(f.genres) AS genre) AS each
    ) AS label
    UNION ALL
    SELECT 'decade', f.decade, 1.0::float8, f.n_ratings, f.rating_sum, {bins} FROM films f
    UNION ALL
    SELECT 'popularity', CASE WHEN f.is_head THEN %(head)s ELSE %(tail)s END, 1.0, f.n_ratings, f.rating_sum, {bins}
    FROM films f
    UNION ALL
    SELECT 'activity', (%(activity_names)s::text[])[width_bucket(u.n_ratings, %(activity_from)s::bigint[])], 1.0,
        u.n_ratings, u.rating_sum, {bins}
    FROM users u
), segments AS (
    SELECT dimension, name, sum(part * rating_sum) AS rating_sum, ARRAY[{summed_bins}] AS bins
    FROM labelled GROUP BY dimension, name
), drawn AS (
    SELECT count(*) AS n_ratings FROM (
        SELECT g.movie_id FROM given g ORDER BY g.draw, g.user_id, g.movie_id LIMIT %(sample_size)s
    ) AS sampled GROUP BY movie_id
)
SELECT of_users.*, of_films.*, of_sample.*, of_segments.*
FROM (
    SELECT count(*) AS n_active_users,
        (SELECT avg((NOT is_known)::integer)::float8 FROM asked_users) AS new_user_share,
        percentile_cont(%(quantiles)s::float8[]) WITHIN GROUP (ORDER BY n_ratings) AS ratings_per_user
    FROM users
) AS of_users, (
    SELECT count(*) AS n_rated_movies, count(*) FILTER (WHERE NOT is_known) AS n_new_movies,
        coalesce(sum(n_ratings), 0)::bigint AS n_ratings, sum(rating_sum) AS rating_sum,
        ARRAY[{plain_bins}] AS bins, {gini} AS popularity_gini
    FROM (SELECT films.*, row_number() OVER (ORDER BY n_ratings) AS place FROM films) AS ranked
) AS of_films, (
    SELECT coalesce(sum(n_ratings), 0)::bigint AS n_sampled, {gini} AS sampled_popularity_gini
    FROM (SELECT n_ratings, row_number() OVER (ORDER BY n_ratings) AS place FROM drawn) AS ranked
) AS of_sample, (
    SELECT coalesce(jsonb_agg(to_jsonb(segments) ORDER BY dimension, name), '[]') AS segments FROM segments
) AS of_segments;

-- name: gini
-- How unequal counts are, given each with its place among them.
2 * sum(place * n_ratings)::float8 / (count(*) * nullif(sum(n_ratings), 0))::float8
    - (count(*) + 1)::float8 / nullif(count(*), 0)

-- name: extent_internal
-- From when to when there are ratings.
SELECT min(rated_at) AS oldest, max(rated_at) AS newest FROM cineclub.ratings WHERE rated_at < %(ends_at)s;

-- name: extent_external
-- The same out of the owner's views.
SELECT min(rated_at) AS oldest, max(rated_at) AS newest FROM {schema}.ratings WHERE rated_at < %(ends_at)s;

-- name: window_sizes_internal
-- How many ratings each of some windows has.
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

-- name: head_internal
-- The most rated films, the first among equals: one in so many of the rated ones.
SELECT movie_id FROM (
    SELECT movie_id, row_number() OVER (ORDER BY n_ratings DESC, movie_id) AS place, count(*) OVER () AS n_movies
    FROM (
        SELECT movie_id, count(*) AS n_ratings FROM cineclub.ratings WHERE rated_at < %(ends_at)s GROUP BY movie_id
    ) AS counted
) AS ranked
WHERE place <= least((n_movies + %(head_part)s - 1) / %(head_part)s, %(max_head)s)
ORDER BY movie_id;

-- name: head_external
-- The same out of the owner's views.
SELECT movie_id FROM (
    SELECT m.id AS movie_id, row_number() OVER (ORDER BY n_ratings DESC, m.id) AS place, count(*) OVER () AS n_movies
    FROM (
        SELECT movie_id, count(*) AS n_ratings FROM {schema}.ratings WHERE rated_at < %(ends_at)s GROUP BY movie_id
    ) AS counted
    JOIN cineclub.movies m ON m.external_id = counted.movie_id::text
) AS ranked
WHERE place <= least((n_movies + %(head_part)s - 1) / %(head_part)s, %(max_head)s)
ORDER BY movie_id;

-- name: scale
-- The rating scale, as the last import or training left it.
SELECT scale_lowest AS lowest, scale_highest AS highest FROM cineclub.catalogue;

-- name: settings
-- What the statements of this transaction may use: time, memory for counting, and no compiling, which takes longer than it saves.
SELECT set_config('statement_timeout', %(milliseconds)s, true), set_config('work_mem', '64MB', true),
    set_config('jit', 'off', true);

-- name: answer_counts
-- How many answers each of some periods has, and how many of a personal model's were popular films in its place.
SELECT counted.*
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) WITH ORDINALITY AS w (starts_at, ends_at, nth)
CROSS JOIN LATERAL (
    SELECT count(*) AS n_answers,
        count(*) FILTER (WHERE p.model_version IS NOT NULL AND p.model_name <> 'popular') AS n_with_model,
        count(*) FILTER (WHERE p.model_version IS NOT NULL AND p.model_name <> 'popular' AND p.strategy = 'popular')
            AS n_cold_starts
    FROM cineclub.predictions p WHERE p.answered_at >= w.starts_at AND p.answered_at < w.ends_at
) AS counted
ORDER BY w.nth;

-- name: answers
-- What answers of some periods show, out of so many of each period that are drawn by their ids: first about so many.
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
    SELECT d.nth, film.movie_id, count(*) AS n_times,
        count(*) FILTER (WHERE d.place <= %(coverage_size)s) AS n_covered
    FROM drawn d CROSS JOIN LATERAL unnest(d.movie_ids) AS film (movie_id)
    GROUP BY d.nth, film.movie_id
), of_films AS (
    SELECT s.nth, sum(s.n_times)::float8 AS n_shown, count(*) FILTER (WHERE s.n_covered > 0) AS n_covered,
        coalesce(sum(s.n_times) FILTER (WHERE head.movie_id IS NOT NULL), 0)::float8 AS n_head
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
    SELECT d.nth, one.score::float8 AS score
    FROM drawn d CROSS JOIN LATERAL unnest(d.scores) AS one (score)
    WHERE d.is_scored AND one.score BETWEEN '-3.4e38'::real AND '3.4e38'::real
), ends AS (
    -- of the earlier periods, without their outliers: one wild score of the newest must not make all others look alike
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
SELECT f.nth::integer AS nth, f.n_shown, f.n_covered, f.n_head, coalesce(g.genres, '{{}}') AS genres,
    coalesce(o.scores, '{{}}') AS scores, scored.n_scored, (SELECT count(*) FROM cineclub.movies) AS n_movies
FROM of_films f JOIN scored USING (nth) LEFT JOIN genres g USING (nth) LEFT JOIN of_scores o USING (nth);
