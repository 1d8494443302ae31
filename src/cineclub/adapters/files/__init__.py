"""Files of ratings: MovieLens releases, MovieTweetings, plain CSV and Parquet, the demo data."""

from cineclub.adapters.files.demo import demo_source
from cineclub.adapters.files.rejects import refuse_to_overwrite, write_rejects
from cineclub.adapters.files.sources import open_movies, open_source, read_all, read_rating_log

__all__ = [
    "demo_source",
    "open_movies",
    "open_source",
    "read_all",
    "read_rating_log",
    "refuse_to_overwrite",
    "write_rejects",
]
