"""A registered version outside of cineclub: the code that ``mlflow.pyfunc`` runs beside the version's arrays.

One row of the input is one request:

- ``movie_ids``: the films that a person has rated, by the ids of your own system, oldest rating first;
- ``ratings``: what they gave each, on the scale of the data;
- ``top_n``: how many films to recommend, 1 to 100; 10 unless given;
- ``user_id``: given back with the answer (empty if it was not given) and used for nothing else.

Films that the version does not know are ignored, and of two ratings of one film the later counts. The answer has one
row for each recommended film, best first: ``request`` (the position of the request), ``user_id``, ``rank``,
``movie_id``, ``title``, ``score``, and ``strategy`` (``model``, or ``popular`` where the version can use none of the
ratings).

cineclub itself never runs this: it serves from manifest and arrays alone.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model

from cineclub.adapters.artifacts import read_artifact
from cineclub.domain.cold_start import answer
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import Movie, UserRatings
from cineclub.domain.recommender import FittedModel

MANIFEST = "manifest.json"
COLUMNS = ("request", "user_id", "rank", "movie_id", "title", "score", "strategy")
DEFAULT_TOP_N, MAX_TOP_N = 10, 100
SECOND = 1_000_000


class PortableRecommender(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Answers requests from the arrays of one version; each file is compared with the manifest when it is loaded."""

    fitted: FittedModel
    movies: Mapping[int, Movie]
    ids: Mapping[str, int]

    def load_context(self, context: Any) -> None:
        """Map the arrays that lie beside this code.

        Raises:
            BrokenArtifact: a file is missing or is not what the manifest says.
        """
        folder = Path(context.artifacts["model"])
        sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        self.fitted, self.movies = read_artifact(folder, sha256)
        self.ids = {movie.external_id: movie_id for movie_id, movie in self.movies.items()}

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's names
        """Return the recommended films of every request, as this module's documentation says.

        Raises:
            MlflowException: a request has not as many ratings as films, a rating off the scale, or a wrong ``top_n``.
        """
        try:
            requests = enumerate(model_input.to_dict("records"))
            rows = [row for nth, request in requests for row in self._rows(nth, request)]
        except InvalidInput as error:  # of MLflow's own errors its server shows the message
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _rows(self, nth: int, request: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return one request's rows of the answer."""
        history = self._history(nth, request["movie_ids"], request["ratings"])
        answered = answer(self.fitted, history)
        ranked = rank_movies(answered.scores, answered.history.movie_indices, _top_n(nth, request.get("top_n")))
        found = [self.movies[movie_id] for movie_id in self.fitted.movie_ids[ranked].tolist()]
        scores = answered.scores[ranked].tolist()
        user_id = "" if _is_missing(request.get("user_id")) else str(request["user_id"])
        return [
            (nth, user_id, rank, movie.external_id, movie.title, score, answered.strategy)
            for rank, (movie, score) in enumerate(zip(found, scores, strict=True), start=1)
        ]

    def _history(self, nth: int, movie_ids: Any, ratings: Any) -> UserRatings:
        """Return what a person rated, oldest first, without films that are unknown."""
        if len(movie_ids) != len(ratings):
            message = (
                f"request {nth} has {len(movie_ids)} films and {len(ratings)} ratings: send one rating for each film"
            )
            raise InvalidInput(message)
        last: dict[int, float] = {}
        for external_id, rating in zip(movie_ids, ratings, strict=True):
            if (movie_id := self.ids.get(str(external_id))) is not None:
                last.pop(movie_id, None)
                last[movie_id] = rating
        try:
            given = np.fromiter(last.values(), np.float32, len(last))
        except (TypeError, ValueError) as error:
            message = f"request {nth} has a rating that is no number"
            raise InvalidInput(message) from error
        if not (scale := self.fitted.scale).holds(given).all():
            message = f"request {nth} has a rating that is not between {scale.lowest:g} and {scale.highest:g}"
            raise InvalidInput(message)
        return UserRatings(
            movie_ids=np.fromiter(last, np.int64, len(last)),
            ratings=given,
            rated_at=np.arange(len(last), dtype=np.int64) * SECOND,
        )


def _top_n(nth: int, wanted: Any) -> int:
    """Return how many films a request wants."""
    if _is_missing(wanted):
        return DEFAULT_TOP_N
    if not isinstance(wanted, int | float | np.number) or not 1 <= wanted <= MAX_TOP_N:
        message = f"request {nth} has top_n={wanted!r}: ask for 1 to {MAX_TOP_N} films"
        raise InvalidInput(message)
    return int(wanted)


def _is_missing(value: Any) -> bool:
    """Say whether a table has nothing at a place: pandas writes that in several ways."""
    return value is None or bool(pd.isna(value))


set_model(PortableRecommender())
