-- Answers to people without an account are logged too.

ALTER TABLE cineclub.predictions ALTER COLUMN user_id DROP NOT NULL;
