"""``cineclub movies``: add, show, withdraw and delete single films."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cineclub.cli.text import echo

if TYPE_CHECKING:
    from cineclub.domain.ratings.imported import NewMovie
    from cineclub.domain.ratings.labels import Label
    from cineclub.domain.ratings.log import Movie
    from cineclub.domain.recommend.records import KnownMovie

SHORTHANDS = ("director", "cast", "keyword", "tag")
MAX_LABELS_SHOWN = 100
movies = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Add, show, withdraw and delete single films.",
)


def _checked_id(movie_id: str) -> str:
    """Return a valid id, or refuse it."""
    from cineclub.api.fields import checked_id

    try:
        return str(checked_id(movie_id))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


MovieId = Annotated[
    str,
    typer.Argument(metavar="ID", help="the film's id in your system", show_default=False, callback=_checked_id),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(metavar="KIND=NAME", help="repeatable; replaces those of its kind, KIND= with none"),
]
Available = Annotated[
    bool | None, typer.Option("--available/--withdrawn", help="whether it may be recommended", show_default=False)
]
IdsBecomeText = Annotated[bool, typer.Option("--ids-become-text", help="an id that is no integer may be the first one")]


@movies.command()
def add(  # noqa: PLR0913 - options of a command
    movie_id: MovieId,
    *,
    title: Annotated[str | None, typer.Option(help="without the year; a new film needs it")] = None,
    year: Annotated[int | None, typer.Option(help="of its release")] = None,
    genre: Annotated[list[str] | None, typer.Option(help="repeatable; replaces all genres")] = None,
    label: Labels = None,
    director: Annotated[list[str] | None, typer.Option(help="repeatable; short for --label director=")] = None,
    cast: Annotated[list[str] | None, typer.Option(help="repeatable; short for --label cast=")] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="repeatable; short for --label keyword=")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="repeatable; short for --label tag=")] = None,
    runtime: Annotated[int | None, typer.Option(help="in minutes")] = None,
    overview: Annotated[str | None, typer.Option(help="a text about it")] = None,
    imdb_id: Annotated[str | None, typer.Option(help="with or without tt")] = None,
    tmdb_id: Annotated[str | None, typer.Option(help="TMDB's number")] = None,
    available: Available = None,
    ids_become_text: IdsBecomeText = False,
) -> None:
    """Add a film, or change what is given of one that is there; the rest of it stays.

    A running service recommends it within a second.
    """
    names = dict(zip(SHORTHANDS, (director, cast, keyword, tag), strict=True))
    values = {
        "title": title,
        "year": year,
        "genres": genre,
        "labels": _labels_by_kind(label or (), {kind: given for kind, given in names.items() if given}),
        "runtime_minutes": runtime,
        "overview": overview,
        "imdb_id": imdb_id,
        "tmdb_id": tmdb_id,
        "available": available,
    }
    _change(
        movie_id, {name: value for name, value in values.items() if value is not None}, ids_become_text=ids_become_text
    )


@movies.command()
def show(
    movie_id: MovieId,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print the film as JSON")] = False,
) -> None:
    """Show what is known of a film."""
    from cineclub.api.presentation import movie_detail_document
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.movies import known_movie
    from cineclub.cli.output import print_json, stdout
    from cineclub.cli.tables import table
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        known = asyncio.run(known_movie(settings, movie_id))
    if as_json:
        print_json(
            {**movie_detail_document(known.movie, integers=known.ids_are_integers), "n_ratings": known.n_ratings}
        )
    else:
        stdout().print(table(f"film {movie_id}", ["attribute", "value"], _rows_of(known), wide="value"))


@movies.command()
def remove(
    movie_id: MovieId,
    *,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="keep it and its ratings, and recommend it to nobody")
    ] = False,
) -> None:
    """Delete a film that nobody has rated, or withdraw one.

    cineclub movies add ID --available brings a withdrawn film back.
    """
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.movies import delete_movie, withdraw_movie
    from cineclub.settings import Settings

    with storage.database(Settings()) as settings:
        asyncio.run((withdraw_movie if withdraw else delete_movie)(settings, movie_id))
    echo(f"film {movie_id} is {'withdrawn' if withdraw else 'deleted'}")


def _change(movie_id: str, given: dict[str, Any], *, ids_become_text: bool) -> None:
    """Write the given values of a movie, and print what was done."""
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.movies import change_movie
    from cineclub.settings import Settings

    def change(known: "KnownMovie | None") -> "NewMovie":
        return _changed(movie_id, known, given)

    with storage.database(Settings()) as settings:
        written = asyncio.run(change_movie(settings, movie_id, change, ids_become_text=ids_become_text))
    done = "added" if written.n_added else "changed" if written.n_changed else "as it was before"
    echo(f"film {movie_id} is {done}")


def _labels_by_kind(labels: Sequence[str], by_kind: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """Return the given labels by kind, a kind without names for KIND=; None if nothing is given."""
    names = {kind: list(given) for kind, given in by_kind.items()}
    for text in labels:
        kind, equals, name = text.partition("=")
        if not equals:
            message = f"{text!r} is no label: write KIND=NAME, for example director=John Frankenheimer"
            raise typer.BadParameter(message)
        names.setdefault(kind, []).extend([name] if name else [])
    return names or None


def _changed(movie_id: str, known: "KnownMovie | None", given: dict[str, Any]) -> "NewMovie":
    """Return a movie with the given values; the others are those that are stored.

    Raises:
        InvalidInput: a value is invalid, or a new movie has no title.
    """
    from cineclub.api.requests import new_movie
    from cineclub.domain.errors import InvalidInput
    from cineclub.domain.ratings.imported import NewMovie
    from cineclub.domain.ratings.labels import settled_labels

    if known is None:
        if "title" not in given:
            message = f"there is no film {movie_id[:100]} yet: --title is needed to add it"
            raise InvalidInput(message)
        return new_movie(movie_id, _checked(given))
    stored, new = NewMovie.of(known.movie), new_movie(movie_id, _checked({"title": "-", **given}))
    changes = {_field_of(name): getattr(new, _field_of(name)) for name in given}
    if "labels" in given:
        others = tuple(label for label in stored.labels if label.kind not in given["labels"])
        changes["labels"] = settled_labels((*others, *new.labels))
    return replace(stored, **changes)


def _field_of(name: str) -> str:
    """Return the field of a movie for a field of a request."""
    return "is_available" if name == "available" else name


def _checked(given: dict[str, Any]) -> Any:
    """Return given values as the API takes them, or raise InvalidInput with the API's messages."""
    from pydantic import ValidationError

    from cineclub.api.movie_schemas import MovieIn
    from cineclub.domain.errors import InvalidInput

    try:
        return MovieIn.model_validate(given)
    except ValidationError as error:
        problems = ((".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors())
        message = "; ".join(f"{name} {text}".strip() for name, text in problems)
        raise InvalidInput(message) from None


def _rows_of(known: "KnownMovie") -> list[tuple[str, str]]:
    """Return the attributes of a movie that are known, as names and texts."""
    movie = known.movie
    rows = [
        ("title", movie.title),
        ("year", str(movie.year or "")),
        ("genres", ", ".join(movie.genres)),
        *((kind, names) for kind, names in _names_by_kind(movie).items()),
        ("runtime", f"{movie.runtime_minutes} min" if movie.runtime_minutes else ""),
        ("imdb_id", movie.imdb_id or ""),
        ("tmdb_id", movie.tmdb_id or ""),
        ("available", "yes" if movie.is_available else "no, withdrawn"),
        ("ratings", f"{known.n_ratings:,}"),
        ("overview", movie.overview or ""),
    ]
    return [(name, text) for name, text in rows if text]


def _names_by_kind(movie: "Movie") -> dict[str, str]:
    """Return the names of a movie's labels by kind, the most telling kinds first, and what else they have."""
    from cineclub.domain.ratings.labels import place_of_kind

    kinds = sorted({label.kind for label in movie.labels}, key=lambda kind: (place_of_kind(kind), kind))
    names = {kind: [_name_of(label) for label in movie.labels if label.kind == kind] for kind in kinds}
    return {
        kind: ", ".join(texts[:MAX_LABELS_SHOWN])
        + (f" and {len(texts) - MAX_LABELS_SHOWN} more" * (len(texts) > MAX_LABELS_SHOWN))
        for kind, texts in names.items()
    }


def _name_of(label: "Label") -> str:
    """Return the name of a label, with its weight and its date where it has them."""
    details = [f"{label.weight:g}"] if label.weight < 1 else []
    if label.since is not None:
        details.append(f"since {label.since:%Y-%m-%d}")
    return f"{label.name} ({', '.join(details)})" if details else label.name
