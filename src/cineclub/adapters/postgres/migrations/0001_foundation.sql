-- The films, users and ratings; the trainings; the history of what served; the answers given.

CREATE TABLE cineclub.catalogue (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    scale_lowest double precision NOT NULL,
    scale_highest double precision NOT NULL CHECK (scale_lowest < scale_highest),
    movie_ids_are_integers boolean NOT NULL,
    user_ids_are_integers boolean NOT NULL
);

CREATE TABLE cineclub.movies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text NOT NULL UNIQUE CHECK (length(external_id) BETWEEN 1 AND 256),
    title text NOT NULL,
    year integer,
    genres text[] NOT NULL DEFAULT '{}',
    imdb_id text,
    tmdb_id text
);

CREATE TABLE cineclub.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text NOT NULL UNIQUE CHECK (length(external_id) BETWEEN 1 AND 256)
);

CREATE TABLE cineclub.ratings (
    user_id bigint NOT NULL,
    movie_id bigint NOT NULL,
    rating real NOT NULL,
    rated_at timestamptz NOT NULL,
    CONSTRAINT ratings_pkey PRIMARY KEY (user_id, movie_id),
    CONSTRAINT ratings_user_id_fkey FOREIGN KEY (user_id) REFERENCES cineclub.users (id) ON DELETE CASCADE,
    CONSTRAINT ratings_movie_id_fkey FOREIGN KEY (movie_id) REFERENCES cineclub.movies (id)
);
CREATE INDEX ratings_movie_id_idx ON cineclub.ratings (movie_id);
CREATE INDEX ratings_rated_at_idx ON cineclub.ratings (rated_at);

CREATE TABLE cineclub.trainings (
    id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    reason text,
    options jsonb NOT NULL DEFAULT '{}',
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    heartbeat_at timestamptz,
    worker text,
    attempt integer NOT NULL DEFAULT 0,
    cancel_requested boolean NOT NULL DEFAULT false,
    progress jsonb,
    error text,
    report jsonb
);
-- At most one training is under way, whichever process asks for the second.
CREATE UNIQUE INDEX trainings_one_under_way ON cineclub.trainings ((true)) WHERE status IN ('queued', 'running');
CREATE INDEX trainings_requested_at_idx ON cineclub.trainings (requested_at DESC);

CREATE TABLE cineclub.promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    promoted_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL,
    previous_version integer,
    verdict text NOT NULL,
    reason text NOT NULL,
    promoted_by text NOT NULL,
    training_id uuid,
    recipe jsonb NOT NULL,
    manifest_sha256 text NOT NULL,
    artifact_folder text NOT NULL
);

CREATE FUNCTION cineclub.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'cineclub.% is append-only: add a row that corrects it', TG_TABLE_NAME;
END;
$$;
CREATE TRIGGER promotions_append_only
BEFORE UPDATE OR DELETE ON cineclub.promotions
FOR EACH ROW EXECUTE FUNCTION cineclub.refuse_change();

CREATE TABLE cineclub.predictions (
    recommendation_id uuid PRIMARY KEY,
    answered_at timestamptz NOT NULL,
    user_id text NOT NULL,
    strategy text NOT NULL,
    model_name text,
    model_version integer,
    movie_ids bigint[] NOT NULL,
    scores real[] NOT NULL,
    latency_seconds real NOT NULL,
    degraded boolean NOT NULL
);
CREATE INDEX predictions_answered_at_idx ON cineclub.predictions (answered_at);
