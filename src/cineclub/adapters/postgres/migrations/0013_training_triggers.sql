-- What started a training, and up to when each schedule is done.

ALTER TABLE cineclub.trainings
    ADD COLUMN trigger text NOT NULL DEFAULT 'request'
        CHECK (trigger IN ('request', 'schedule', 'new_ratings', 'drift')),
    ADD COLUMN n_ratings_seen bigint;

COMMENT ON COLUMN cineclub.trainings.n_ratings_seen IS 'how many ratings there were when new ones started the training';

CREATE TABLE cineclub.training_schedules (
    line text PRIMARY KEY,
    done_until timestamptz NOT NULL
);

COMMENT ON TABLE cineclub.training_schedules IS 'every due time of a line up to this one has been started, or made up for';
