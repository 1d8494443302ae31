"""The filters of a request: fields of bodies, parameters of queries, and keyword parameters of the client.

A new filter is a field of ``domain.recommend.filters.Filters`` with its rule, and here a field and a parameter.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict, TypeVar, get_origin

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, WithJsonSchema, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from cineclub.api.fields import (
    REFUSED,
    ExternalIds,
    Genre,
    Kind,
    LabelName,
    Request,
    Runtime,
    Share,
    Year,
)
from cineclub.domain.ratings.labels import GENRE, KIND

MAX_MOVIE_IDS = 10_000
MAX_NAMES = 50
A_WRITTEN_LABEL = "must be a kind of labels, a colon and a name, for example director:Michael Mann"
BETWEEN = ":"
Names = Annotated[list[LabelName], Field(max_length=MAX_NAMES)]


class MovieFilters(Request):
    """Conditions on what is known of a movie."""

    genres: list[Genre] = Field(default=[], max_length=50, description="films of at least one of these")
    exclude_genres: list[Genre] = Field(default=[], max_length=50, description="no film of any of these")
    year_from: Year | None = Field(default=None, description="from this year on")
    year_to: Year | None = Field(default=None, description="up to this year")
    labels: dict[Kind, Names] = Field(
        default={},
        max_length=MAX_NAMES,
        description="of each kind at least one of the names; a name that no film has is refused, as for genres",
    )
    exclude_labels: dict[Kind, Names] = Field(
        default={}, max_length=MAX_NAMES, description="no film with any of these labels; unknown names are ignored"
    )
    languages: Names = Field(default=[], description="short for the names of the kind language in labels")
    runtime_from: Runtime | None = Field(default=None, description="of so many minutes or more, none of unknown length")
    runtime_to: Runtime | None = Field(default=None, description="of so many minutes or less, none of unknown length")


class FiltersIn(MovieFilters):
    """Conditions that a recommended movie must meet."""

    exclude_movie_ids: ExternalIds = Field(default=[], max_length=MAX_MOVIE_IDS, description="none of these films")
    candidate_movie_ids: ExternalIds | None = Field(
        default=None, min_length=1, max_length=MAX_MOVIE_IDS, description="these films only; unknown ids are ignored"
    )
    include_seen: StrictBool = Field(default=False, description="also films that the user has rated")
    diversity: Share = Field(default=0.0, description="0: the best films; up to 1: films of different genres")


class MovieFilterParams(TypedDict, total=False):
    """The conditions on what is known of a movie as keyword parameters; the client validates them."""

    genres: Sequence[str]
    exclude_genres: Sequence[str]
    year_from: int | None
    year_to: int | None
    labels: Mapping[str, Sequence[str]]
    exclude_labels: Mapping[str, Sequence[str]]
    languages: Sequence[str]
    runtime_from: int | None
    runtime_to: int | None


class FilterParams(MovieFilterParams, total=False):
    """All filters as keyword parameters; the client validates them with ``FiltersIn``."""

    exclude_movie_ids: Sequence[int | str]
    candidate_movie_ids: Sequence[int | str] | None
    include_seen: bool
    diversity: float


def _label_of(text: Any) -> Any:
    """Return the kind and the name of a label that is written as one text."""
    kind, colon, name = str(text).partition(BETWEEN)
    if not colon:
        raise PydanticCustomError(REFUSED, A_WRITTEN_LABEL)
    return kind, name


def _number_of(value: Any) -> Any:
    """Return the integer that a parameter of a query writes; anything else as it is, to be refused."""
    is_integer = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < MAX_NAMES
    return int(value) if is_integer else value


WRITTEN_LABEL = {
    "type": "string",
    "pattern": f"^(?!{GENRE}{BETWEEN}){KIND.pattern}{BETWEEN}.",
    "examples": ["director:Michael Mann"],
}
WrittenLabel = Annotated[tuple[Kind, LabelName], BeforeValidator(_label_of), WithJsonSchema(WRITTEN_LABEL)]
"""A label in a query, as kind and name."""

Q = TypeVar("Q", bound=BaseModel)


def with_filters(query: type[Q]) -> type[Q]:
    """Return the parameters of a query with those of ``MovieFilters``.

    A filter by lists of names for each kind, ``labels``, is the parameter ``label``, which may be repeated.
    """
    fields: dict[str, Any] = {name: _of_query(name, field) for name, field in MovieFilters.model_fields.items()}
    return create_model(query.__name__, __base__=query, __doc__=query.__doc__, __module__=query.__module__, **fields)


def query_of(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON values of ``MovieFilters`` as parameters of a query."""
    return {
        _query_name(name) if isinstance(value, Mapping) else name: (
            [f"{kind}{BETWEEN}{label}" for kind, labels in value.items() for label in labels]
            if isinstance(value, Mapping)
            else value
        )
        for name, value in filters.items()
    }


def _of_query(name: str, field: FieldInfo) -> tuple[Any, Any]:
    """Return type and default of the parameter for a filter."""
    if get_origin(field.annotation) is dict:
        described = f"{field.description}; written as director:Michael Mann"
        return list[WrittenLabel], Field(
            default=[], alias=_query_name(name), max_length=MAX_NAMES, description=described
        )
    if get_origin(field.annotation) is list:
        return field.annotation, field
    return Annotated[field.annotation, BeforeValidator(_number_of)], field


def _query_name(name: str) -> str:
    """Return the parameter of a query for a filter of which one parameter is one name."""
    return name.removesuffix("s")
