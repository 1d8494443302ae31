"""The owner's views (CINECLUB_SOURCE=external): their contract, and the mapping of their ids to ours."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from cineclub.adapters.postgres.sessions import Row, named_queries
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.log import RatingScale

SQL = named_queries("external_source.sql")
INTEGERS = frozenset({"smallint", "integer", "bigint"})
TEXTS = frozenset({"text", "character varying", "character", "name", "citext"})
NUMBERS = INTEGERS | {"real", "double precision", "numeric"}
IDS = INTEGERS | TEXTS | {"uuid", "numeric"}
CONTRACT = {
    "movies": {
        "movie_id": (IDS, "text or an integer"),
        "title": (TEXTS, "text"),
        "year": (INTEGERS, "integer"),
        "genres": (frozenset({"text[]", "character varying[]", "name[]"}), "text[]"),
        "imdb_id": (IDS, "text"),
        "tmdb_id": (IDS, "text"),
    },
    "ratings": {
        "user_id": (IDS, "text or an integer"),
        "movie_id": (IDS, "text or an integer"),
        "rating": (NUMBERS, "a number"),
        "rated_at": (frozenset({"timestamp with time zone"}), "timestamptz"),
    },
    "rating_scale": {"lowest": (NUMBERS, "a number"), "highest": (NUMBERS, "a number")},
}

OPTIONAL = {
    "movies": {
        "labels": (frozenset({"jsonb"}), "jsonb"),
        "runtime_minutes": (INTEGERS, "integer"),
        "overview": (TEXTS, "text"),
        "available": (frozenset({"boolean"}), "boolean"),
    }
}
"""Columns that a view may lack."""


class ExternalSource:
    """The three views of one schema, read over one connection."""

    def __init__(self, connection: psycopg.Connection[Row], schema: str) -> None:
        """Use the views of this schema."""
        self._connection = connection
        self._schema = schema

    def findings(self) -> list[str]:
        """Return the breaches of the contract, each a sentence that says how to correct it."""
        if faults := list(self._column_faults()):
            return faults
        scale = self.scale()
        if scale is None:
            lack = f"{self._schema}.rating_scale must have one row with finite lowest < highest"
            return [f"{lack}: define it as SELECT 1.0 AS lowest, 10.0 AS highest with your own bounds"]
        return [*self._movie_faults(), *self._rating_faults(scale)]

    def map_ids(self) -> None:
        """Add new movies and users of the views, update the movies' texts, and store the scale.

        Raises:
            InvalidInput: the views break the contract.
        """
        if findings := self.findings():
            raise InvalidInput("; ".join(findings))
        scale, types = self._rows("scale")[0], self._types()
        form = {"movies": types["movies"]["movie_id"] in INTEGERS, "users": types["ratings"]["user_id"] in INTEGERS}
        with self._connection.transaction():
            self._connection.execute(SQL["set_catalogue"], {**scale, **form})
            for name in ("refresh_movies", "add_movies", "add_users"):
                self._connection.execute(self._query(name))

    def scale(self) -> RatingScale | None:
        """Return the rating scale of the views; None where it is not one valid row."""
        rows = self._rows("scale")
        if len(rows) != 1 or None in rows[0].values():
            return None
        lowest, highest = rows[0]["lowest"], rows[0]["highest"]
        return RatingScale(lowest, highest) if np.isfinite([lowest, highest]).all() and lowest < highest else None

    def has_views(self) -> bool:
        """Return whether the three views have the columns of the contract."""
        return not any(self._column_faults())

    def _column_faults(self) -> Iterator[str]:
        """Yield the views and columns that are missing or of another type."""
        types = self._types()
        for view, columns in CONTRACT.items():
            place = f"{self._schema}.{view}"
            if view not in types:
                yield f"the view {place} is missing: create it with the columns {', '.join(columns)}"
                continue
            for column, (allowed, wanted) in columns.items():
                actual = types[view].get(column)
                if actual is None:
                    yield f"{place} lacks the column {column}: add it to the view as {wanted}"
                elif actual not in allowed:
                    yield f"{place}.{column} is {actual}, not {wanted}: cast it in the view"
            for column, (allowed, wanted) in OPTIONAL.get(view, {}).items():
                if (actual := types[view].get(column, wanted)) not in allowed:
                    yield f"{place}.{column} is {actual}, not {wanted}: cast it in the view"

    def _movie_faults(self) -> Iterator[str]:
        """Yield the faults of the movies."""
        place, fault = f"{self._schema}.movies", self._rows("movie_faults")[0]
        if fault["ids"]:
            yield f"{place} has {fault['ids']:,} rows whose movie_id is null or not 1 to 256 characters: leave them out"
        if fault["titles"]:
            yield f"{place} has {fault['titles']:,} films without a title: use coalesce(title, '') in the view"
        if fault["labels"]:
            object_of = "jsonb_build_object('director', jsonb_build_array('Michael Mann'))"
            yield f"{place} has {fault['labels']:,} films whose labels are no JSON object: build them as {object_of}"
        if fault["repeated"]:
            yield f"{place} repeats {fault['repeated']:,} movie_ids: one row a film, use SELECT DISTINCT ON (movie_id)"

    def _rating_faults(self, scale: RatingScale) -> Iterator[str]:
        """Yield the faults of the ratings."""
        place = f"{self._schema}.ratings"
        bounds = {"lowest": scale.lowest, "highest": scale.highest}
        fault = self._rows("rating_faults", bounds)[0]
        span = f"{scale.lowest:g} to {scale.highest:g}"
        sentences = {
            "users": "rows whose user_id is null or not 1 to 256 characters: leave them out",
            "movies": "rows without movie_id: leave them out with WHERE movie_id IS NOT NULL",
            "ratings": "rows without rating: leave them out with WHERE rating IS NOT NULL",
            "times": "rows whose rated_at is null or infinite: leave them out, or state another time",
            "off_scale": f"ratings off the scale {span}: correct the view, or rating_scale",
        }
        yield from (f"{place} has {fault[name]:,} {sentence}" for name, sentence in sentences.items() if fault[name])
        if n_unknown := self._rows("unknown_movies")[0]["n_ratings"]:
            yield f"{place} has {n_unknown:,} ratings of films that {self._schema}.movies lacks: add the films there"
        if n_repeated := self._rows("repeated")[0]["n_pairs"]:
            yield f"{place} repeats {n_repeated:,} pairs of user and film: keep the newest, use SELECT DISTINCT ON"

    def _types(self) -> dict[str, dict[str, str]]:
        """Return the types of the views' columns by view and column."""
        types: dict[str, dict[str, str]] = {}
        for row in self._connection.execute(SQL["columns"], {"schema": self._schema}):
            types.setdefault(row["view"], {})[row["column"]] = row["type"]
        return types

    def _rows(self, name: str, params: dict[str, Any] | None = None) -> list[Row]:
        """Return the rows of a query on the views."""
        return self._connection.execute(self._query(name), params).fetchall()

    def _query(self, name: str) -> sql.Composed:
        """Return a query with the schema put in."""
        return sql.SQL(SQL[name]).format(schema=sql.Identifier(self._schema))
