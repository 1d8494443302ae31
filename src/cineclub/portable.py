"""A registered version outside of cineclub, as a model of ``mlflow.pyfunc``.

One row of the input is one request:

- ``movie_ids``: the movies that a user has rated, by the ids of your own system, oldest rating first;
- ``ratings``: the rating of each, on the scale of the data;
- ``top_n``: how many movies to recommend, 1 to 100; 10 unless given;
- ``user_id``: returned with the recommendations (empty if not given) and not used otherwise.

The ratings count as given at the end of the ratings that the version was trained on.
Movies that the version does not know are ignored, and the later of two ratings of one movie counts. The result has one
row for each recommended movie, best first: ``request`` (the position of the request), ``user_id``, ``rank``,
``movie_id``, ``title``, ``score``, and ``strategy`` (``model``, or ``popular`` if the version can use none of the
ratings or recommends the popular movies to every user).

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

from cineclub.adapters.model_store import read_artifact
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.cold_start import undated
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend
from cineclub.domain.recommend.request import RecommendationRequest

MANIFEST = "manifest.json"
COLUMNS = ("request", "user_id", "rank", "movie_id", "title", "score", "strategy")
DEFAULT_TOP_N, MAX_TOP_N = 10, 100
UNKNOWN_VERSION = 0
"""A version outside of cineclub does not know its number in the registry."""


class PortableRecommender(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Recommends movies with the arrays of one version; loading compares each file with the manifest."""

    model: LiveModel

    def load_context(self, context: Any) -> None:
        """Map the arrays of the version into memory.

        Raises:
            BrokenArtifact: a file is missing or does not match the manifest.
        """
        folder = Path(context.artifacts["model"])
        sha256 = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        self.model = LiveModel.of(UNKNOWN_VERSION, *read_artifact(folder, sha256))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002 - MLflow's names
        """Return the recommended movies of every request, as the module's docstring describes.

        Raises:
            MlflowException: a request has more or fewer ratings than films, a rating off the scale, or an invalid
                ``top_n``.
        """
        try:
            requests = enumerate(model_input.to_dict("records"))
            rows = [row for nth, request in requests for row in self._rows(nth, request)]
        except InvalidInput as error:  # MLflow's server shows the messages of its own errors alone
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _rows(self, nth: int, request: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return one request's rows of the result."""
        history = self._history(nth, request["movie_ids"], request["ratings"])
        movies = recommend(self.model, RecommendationRequest(_top_n(nth, request.get("top_n"))), history)
        user_id = "" if _is_missing(request.get("user_id")) else str(request["user_id"])
        return [
            (nth, user_id, item.rank, item.movie.external_id, item.movie.title, item.score, movies.strategy)
            for item in movies.recommendations
        ]

    def _history(self, nth: int, movie_ids: Any, ratings: Any) -> UserRatings:
        """Return the user's ratings, oldest first, without unknown movies."""
        if len(movie_ids) != len(ratings):
            message = (
                f"request {nth} has {len(movie_ids)} films and {len(ratings)} ratings: send one rating for each film"
            )
            raise InvalidInput(message)
        last: dict[int, float] = {}
        for external_id, rating in zip(movie_ids, ratings, strict=True):
            if (position := self.model.vocabulary.by_external_id.get(str(external_id))) is not None:
                last.pop(position, None)
                last[position] = rating
        try:
            given = np.fromiter(last.values(), np.float32, len(last))
        except (TypeError, ValueError) as error:
            message = f"request {nth} has a rating that is not a number"
            raise InvalidInput(message) from error
        if not (scale := self.model.fitted.scale).holds(given).all():
            message = f"request {nth} has a rating that is not between {scale.lowest:g} and {scale.highest:g}"
            raise InvalidInput(message)
        return undated(self.model.fitted, self.model.fitted.movie_ids[list(last)], given)


def _top_n(nth: int, value: Any) -> int:
    """Return the number of movies to recommend."""
    if _is_missing(value):
        return DEFAULT_TOP_N
    if not isinstance(value, int | float | np.number) or not 1 <= value <= MAX_TOP_N:
        message = f"request {nth} has top_n={value!r}: ask for 1 to {MAX_TOP_N} films"
        raise InvalidInput(message)
    return int(value)


def _is_missing(value: Any) -> bool:
    """Return whether a cell is empty, which pandas writes in several ways."""
    return value is None or bool(pd.isna(value))


set_model(PortableRecommender())
