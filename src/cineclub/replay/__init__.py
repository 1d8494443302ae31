"""``cineclub replay``: the whole service lives through a simulated month in a throw-away folder, and is judged."""
