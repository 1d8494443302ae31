-- The identity of this installation, and the registry in which its versions have their numbers.

CREATE TABLE cineclub.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    installation_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- a tag of the registered model has this id; another registered model would count from 1 again
    registry_id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- both are null until the registered model has its tags; the address is shown and has no password
    registry_address text,
    model_name text,
    recorded_at timestamptz
);
INSERT INTO cineclub.installation DEFAULT VALUES;
