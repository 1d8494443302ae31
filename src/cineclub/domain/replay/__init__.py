"""A simulated month: how ratings are cut into days, what happens on them, and how good the served lists were."""
