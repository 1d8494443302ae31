-- name: settings
-- Limits of the statements of this transaction: time, memory for the sort by user, and no compilation.
SELECT set_config('statement_timeout', %(milliseconds)s, true), set_config('work_mem', %(work_mem)s, true),
    set_config('jit', 'off', true);

-- name: snapshot
-- The snapshot that the statements of this transaction share, and its time.
SELECT pg_current_snapshot()::text AS seen, clock_timestamp() AS read_at;

-- name: one_at_a_time
-- Wait for another process that sums the same.
SELECT pg_advisory_xact_lock(%(family)s, %(crowd)s);

-- name: stored
-- The counts that a process has summed before; none of another server, whose snapshots mean nothing here.
SELECT (extract(epoch FROM clock) * 1000000)::bigint AS clock,
    (extract(epoch FROM newest_liked_at) * 1000000)::bigint AS newest, seen, read_at, read_seconds, counts
FROM cineclub.older_crowd_counts
WHERE source = %(source)s AND counted_before = %(before)s
    AND pg_snapshot_xmax(seen::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot());

-- name: keep
-- Keep the counts for other processes and the next start.
INSERT INTO cineclub.older_crowd_counts
    (source, counted_before, clock, newest_liked_at, seen, read_at, read_seconds, counts)
VALUES (%(source)s, %(before)s, %(clock)s, %(newest)s, %(seen)s, %(read_at)s, %(read_seconds)s, %(counts)s)
ON CONFLICT (singleton) DO UPDATE SET source = excluded.source, counted_before = excluded.counted_before,
    clock = excluded.clock, newest_liked_at = excluded.newest_liked_at, seen = excluded.seen,
    read_at = excluded.read_at, read_seconds = excluded.read_seconds, counts = excluded.counts;

-- name: changes
-- Whether older ratings changed that a snapshot did not see, and whether somebody was erased. A transaction may last a
-- day; one that is not before the present snapshot is of another server, as after a restore.
SELECT count(*) > 0 AS has_any, coalesce(bool_or(is_erasure), false) AS has_erasure
FROM cineclub.older_rating_changes
WHERE changed_at >= %(read_at)s::timestamptz - interval '1 day'
    AND NOT pg_visible_in_snapshot(changed_in, %(seen)s::pg_snapshot)
    AND changed_in < pg_snapshot_xmax(pg_current_snapshot());

-- name: scale_internal
-- The rating scale; no row before the first import.
SELECT scale_lowest AS lowest, scale_highest AS highest FROM cineclub.catalogue;

-- name: scale_external
-- The rating scale of the owner's views.
SELECT lowest::float8 AS lowest, highest::float8 AS highest FROM {schema}.rating_scale LIMIT 1;

-- name: newest_internal
-- The time of the newest like before a time, microseconds since 1970.
SELECT (extract(epoch FROM rated_at) * 1000000)::bigint AS newest FROM cineclub.ratings
WHERE rated_at < %(ends_at)s AND rated_at > '-infinity' AND rating >= %(liked)s::real
ORDER BY rated_at DESC LIMIT 1;

-- name: newest_external
-- The same out of the owner's views.
SELECT (extract(epoch FROM r.rated_at) * 1000000)::bigint AS newest FROM {schema}.ratings r
WHERE r.rated_at < %(ends_at)s AND isfinite(r.rated_at) AND r.rating::real >= %(liked)s::real
    AND r.rating::float8 BETWEEN %(lowest)s AND %(highest)s
ORDER BY r.rated_at DESC LIMIT 1;

-- name: ratings_internal
-- The ratings from a time up to another, and those that are dated after now. An infinite time has no age: such a rating
-- is in no part of the counts.
SELECT user_id, movie_id, rating, rated_at FROM cineclub.ratings
WHERE rated_at >= %(starts_at)s AND (rated_at < %(ends_at)s OR rated_at >= %(future_from)s) AND isfinite(rated_at);

-- name: ratings_external
-- The same out of the owner's views, without rows that break the contract.
SELECT r.user_id, r.movie_id, r.rating::real AS rating, r.rated_at FROM {schema}.ratings r
WHERE r.rated_at >= %(starts_at)s AND (r.rated_at < %(ends_at)s OR r.rated_at >= %(future_from)s)
    AND isfinite(r.rated_at) AND r.user_id IS NOT NULL AND r.movie_id IS NOT NULL
    AND r.rating::float8 BETWEEN %(lowest)s AND %(highest)s;

-- name: same_movie_internal
m.id = c.movie_id;

-- name: same_movie_external
m.external_id = c.movie_id::text;

-- name: counts
-- The decayed weights of the likes of each movie as of a clock; packed as 56 bytes a movie, big-endian (movie, a sum for
-- each half-life). Ratings that are dated after now count as of the end. The weight of a rating falls with the number of
-- the user's ratings of the same UTC day up to the same instant.
SELECT string_agg(int8send(m.id) || {packed}, ''::bytea ORDER BY m.id) AS packed
FROM (
    SELECT movie_id, {sums}
    FROM (
        SELECT movie_id, rating, date_part('epoch', %(clock)s - least(rated_at, %(clock)s)) / %(day_seconds)s AS age_days,
            least(1, %(full_weight)s / count(*) OVER (
                PARTITION BY user_id, floor(date_part('epoch', least(rated_at, %(ends_at)s)) / %(day_seconds)s)
                ORDER BY least(rated_at, %(ends_at)s)
            )) AS weight
        FROM ({ratings}) AS known
    ) AS weighed
    WHERE rating >= %(liked)s::real
    GROUP BY movie_id
) AS c
JOIN cineclub.movies m ON {same_movie};
