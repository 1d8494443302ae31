"""Bodies of movies: what an owner says of a film, and what the catalogue knows of it."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cineclub.api.fields import (
    A_KIND,
    REFUSED,
    ExternalId,
    Genre,
    LabelName,
    RatedAt,
    Refusal,
    Request,
    Runtime,
    Text,
    Year,
    storable,
)
from cineclub.domain.ratings.labels import GENRE, KIND, MAX_LABELS, clean_name

MAX_MOVIES = 1000
MAX_TITLE, MAX_OVERVIEW, MAX_GENRES = 500, 10_000, 50
A_WEIGHT = "must be a number above 0, at most 1"
EXAMPLE: dict[str, Any] = {
    "title": "Ronin",
    "year": 1998,
    "genres": ["Action", "Thriller"],
    "labels": {"director": ["John Frankenheimer"], "keyword": ["heist", {"name": "car chase", "weight": 0.8}]},
    "runtime_minutes": 122,
}

Title = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=MAX_TITLE),
    AfterValidator(storable),
]
Weight = Annotated[float, Field(strict=True, gt=0, le=1), Refusal(A_WEIGHT)]


class LabelIn(Request):
    """A label with a weight, or with the time from which it is known."""

    name: LabelName = Field(description="as it is written; case and blanks make no difference")
    weight: Weight = Field(default=1.0, description="above 0, at most 1")
    since: RatedAt = Field(default=None, description="known since; always unless given")


LabelsIn = dict[str, list[LabelName | LabelIn]]


class MovieIn(Request):
    """What is known of a film; what is not given is not known."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    title: Title = Field(description="without the year")
    year: Year | None = Field(default=None, description="of its release")
    genres: list[Genre] = Field(default=[], max_length=MAX_GENRES)
    imdb_id: ExternalId | None = Field(default=None, description="with or without tt")
    tmdb_id: ExternalId | None = None
    labels: LabelsIn = Field(
        default={}, description="by kind: director, cast, keyword, tag, collection, language, country, company, or any"
    )
    runtime_minutes: Runtime | None = None
    overview: Annotated[Text, StringConstraints(strict=True, max_length=MAX_OVERVIEW)] | None = None
    available: StrictBool = Field(default=True, description="false: withdrawn, never recommended")

    @model_validator(mode="after")
    def _has_sound_labels(self) -> "MovieIn":
        """Refuse kinds that are none, names of control characters alone, and too many labels."""
        for kind, entries in self.labels.items():
            if kind == GENRE:
                raise PydanticCustomError(REFUSED, "labels.genre: give genres as genres")
            if not KIND.fullmatch(kind):
                raise PydanticCustomError(REFUSED, f"labels: {A_KIND}")
            for entry in entries:
                name = entry if isinstance(entry, str) else entry.name
                if not clean_name(name):
                    raise PydanticCustomError(REFUSED, f"labels.{kind}: a name must have a letter")
        if sum(map(len, self.labels.values())) > MAX_LABELS:
            raise PydanticCustomError(REFUSED, f"labels: at most {MAX_LABELS} of one film")
        return self


class IdentifiedMovieIn(MovieIn):
    """A film with its id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"movie_id": 8985, **EXAMPLE}]})

    movie_id: ExternalId = Field(description="the film's id in your system; an unknown id is a new film")


def _one_or_many(value: Any) -> str:
    """Return the tag of a body: one film, or a list of many."""
    return "many" if isinstance(value, list) else "one"


MoviesIn = Annotated[
    Annotated[IdentifiedMovieIn, Tag("one")]
    | Annotated[list[IdentifiedMovieIn], Tag("many"), Field(min_length=1, max_length=MAX_MOVIES)],
    Discriminator(_one_or_many),
]


class MoviesWritten(BaseModel):
    """The numbers of written films."""

    added: int
    changed: int
    unchanged: int = Field(description="films that were there already, just as they were sent")


class LabelOut(BaseModel):
    """A label with its weight, and since when it is known."""

    name: str
    weight: float = 1.0
    since: str | None = None


class MovieOut(BaseModel):
    """One film of the catalogue."""

    movie_id: int | str
    title: str
    year: int | None
    genres: list[str]
    imdb_id: str | None
    tmdb_id: str | None
    labels: dict[str, list[str | LabelOut]] = Field(default={}, description="by kind; names alone where that is all")
    runtime_minutes: int | None = None
    available: bool = Field(default=True, description="whether it may be recommended")


class MovieDetailOut(MovieOut):
    """One film with the text about it."""

    overview: str | None = None


class MoviesOut(BaseModel):
    """Films, the best first."""

    movies: list[MovieOut]


class SharedAttributeOut(BaseModel):
    """A label or genre that two films share."""

    kind: str
    name: str


class SimilarToOut(BaseModel):
    """The film that speaks for another, which the model has not learned, and what they share."""

    movie_id: int | str
    title: str
    shared: list[SharedAttributeOut] = Field(description="the most telling first, at most three")


class ScoredMovieOut(MovieOut):
    """A film with the score that orders the list."""

    score: float = Field(description="comparable within one response only")
    similar_to: SimilarToOut | None = Field(
        default=None, description="what speaks for a film that the model has not learned; null for others"
    )


class PopularOut(BaseModel):
    """Films by damped popularity."""

    window_days: int | None
    movies: list[ScoredMovieOut]
