-- Answers that another version was asked for too, and the looks at what became of them during a probation.

CREATE TABLE cineclub.comparisons (
    recommendation_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('shadow', 'probation')),
    compared_at timestamptz NOT NULL,
    user_id text,
    served_version integer NOT NULL,
    other_version integer NOT NULL,
    served_movie_ids bigint[] NOT NULL,
    other_movie_ids bigint[] NOT NULL,
    overlap real NOT NULL CHECK (overlap BETWEEN 0 AND 1),
    rank_overlap real NOT NULL CHECK (rank_overlap BETWEEN 0 AND 1),
    PRIMARY KEY (recommendation_id, purpose)
);
CREATE INDEX comparisons_compared_at_idx ON cineclub.comparisons (compared_at);
CREATE INDEX comparisons_user_id_compared_at_idx ON cineclub.comparisons (user_id, compared_at)
WHERE user_id IS NOT NULL;

COMMENT ON COLUMN cineclub.comparisons.served_movie_ids IS 'the films that the served version is credited for';

-- Each look is made once, by whichever process records it first.
CREATE TABLE cineclub.probation_looks (
    promotion_id bigint NOT NULL,
    nth integer NOT NULL CHECK (nth >= 1),
    looked_at timestamptz NOT NULL,
    served_version integer NOT NULL,
    former_version integer NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('not_enough', 'no_difference', 'other_better', 'served_better')),
    n_people integer NOT NULL,
    difference double precision,
    low double precision,
    high double precision,
    confidence double precision NOT NULL,
    summary text NOT NULL,
    PRIMARY KEY (promotion_id, nth)
);
CREATE TRIGGER probation_looks_append_only
BEFORE UPDATE OR DELETE ON cineclub.probation_looks
FOR EACH ROW EXECUTE FUNCTION cineclub.refuse_change();

ALTER TABLE cineclub.refusals
    DROP CONSTRAINT refusals_asked_by_check,
    ADD CONSTRAINT refusals_asked_by_check CHECK (asked_by IN ('gate', 'person', 'outside', 'probation'));
