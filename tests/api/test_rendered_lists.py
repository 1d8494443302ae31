"""Lists of films that are written as JSON once."""

import gc

import orjson

from cineclub.api.presentation import recommendation_documents
from cineclub.api.rendered_lists import RenderedLists
from cineclub.domain.ratings import Movie
from cineclub.domain.recommendations import ListedFilms, Reason, Recommendation


def listed() -> ListedFilms:
    """Return a list of one film with a reason."""
    film = Movie(1, "7", "Heat", 1995, ("Crime",))
    return ListedFilms("model", (Recommendation(1, film, 0.5, 4.25, (Reason(film, 5.0, 0.25),)),))


def test_a_list_is_written_once_as_the_presentation_says() -> None:
    """The same films are the same JSON, and ids follow the caller's system also when that changes."""
    rendered, films = RenderedLists(), listed()
    once = rendered.of(films, integers=True)
    assert rendered.of(films, integers=True) is once
    for integers in (True, False, True):
        written = orjson.dumps(rendered.of(films, integers=integers))
        assert written == orjson.dumps(recommendation_documents(films, integers=integers))
    assert b'"movie_id":7,' in orjson.dumps(rendered.of(films, integers=True))
    assert b'"movie_id":"7",' in orjson.dumps(rendered.of(films, integers=False))


def test_what_nobody_holds_is_let_go() -> None:
    """The memory of lists is never longer than that of answers."""
    rendered, films = RenderedLists(), listed()
    rendered.of(films, integers=True)
    rendered.of(listed(), integers=True)
    gc.collect()
    assert len(rendered) == 1
    del films
    gc.collect()
    assert len(rendered) == 0
