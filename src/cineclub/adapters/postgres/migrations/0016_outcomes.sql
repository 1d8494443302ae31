-- What was answered to somebody in the days before a rating; erasing somebody finds their answers with it too.

CREATE INDEX predictions_user_id_answered_at_idx ON cineclub.predictions (user_id, answered_at)
WHERE user_id IS NOT NULL;
