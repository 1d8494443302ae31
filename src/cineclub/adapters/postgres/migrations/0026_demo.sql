-- Whether the demo ratings were imported: ratings of other people are not mixed with them by accident.

ALTER TABLE cineclub.catalogue ADD COLUMN holds_demo boolean NOT NULL DEFAULT false;

-- Databases from before: the first, the middle and the last rating of the demo.
UPDATE cineclub.catalogue SET holds_demo = true WHERE (
    SELECT count(*) FROM cineclub.ratings r
    JOIN cineclub.users u ON u.id = r.user_id JOIN cineclub.movies m ON m.id = r.movie_id
    WHERE (u.external_id, m.external_id, r.rated_at) IN (
        ('1', '31', to_timestamp(1260759144)),
        ('671', '6565', to_timestamp(1074784724))
    )
) = 2;
