"""The filters of a request: fields of its body, and keyword parameters of the client.

A new filter is a field of ``domain.recommend.filters.Filters`` with its rule, and here a field and a parameter.
"""

from collections.abc import Sequence
from typing import TypedDict

from pydantic import Field, StrictBool

from cineclub.api.fields import ExternalIds, Genre, Request, Share, Year

MAX_MOVIE_IDS = 10_000


class FiltersIn(Request):
    """Conditions that a recommended movie must meet."""

    genres: list[Genre] = Field(default=[], max_length=50, description="films of at least one of these")
    exclude_genres: list[Genre] = Field(default=[], max_length=50, description="no film of any of these")
    year_from: Year | None = Field(default=None, description="from this year on")
    year_to: Year | None = Field(default=None, description="up to this year")
    exclude_movie_ids: ExternalIds = Field(default=[], max_length=MAX_MOVIE_IDS, description="none of these films")
    candidate_movie_ids: ExternalIds | None = Field(
        default=None, min_length=1, max_length=MAX_MOVIE_IDS, description="these films only; unknown ids are ignored"
    )
    include_seen: StrictBool = Field(default=False, description="also films that the user has rated")
    diversity: Share = Field(default=0.0, description="0: the best films; up to 1: films of different genres")


class FilterParams(TypedDict, total=False):
    """The filters as keyword parameters; the client validates them with ``FiltersIn``."""

    genres: Sequence[str]
    exclude_genres: Sequence[str]
    year_from: int | None
    year_to: int | None
    exclude_movie_ids: Sequence[int | str]
    candidate_movie_ids: Sequence[int | str] | None
    include_seen: bool
    diversity: float
