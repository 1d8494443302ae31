"""The cache of lists rendered as JSON."""

import gc
from dataclasses import replace

import orjson

from cineclub.api.presentation import recommendation_documents
from cineclub.api.rendered_lists import RenderedLists
from cineclub.domain.ratings.log import Movie
from cineclub.domain.recommend.recommendations import Reason, Recommendation, RecommendationList


def recommended() -> RecommendationList:
    """Return a list of one film with a reason."""
    movie = Movie(1, "7", "Heat", 1995, ("Crime",))
    return RecommendationList("model", (Recommendation(1, movie, 0.5, 4.25, (Reason(movie, 5.0, 0.25),)),))


def test_a_list_is_rendered_once_as_the_presentation_renders_it() -> None:
    """Equal lists are rendered once; ids follow the form of the source also when it changes."""
    rendered, movies = RenderedLists(), recommended()
    once = rendered.of(movies, integers=True)
    assert rendered.of(movies, integers=True) is once
    for integers in (True, False, True):
        written = orjson.dumps(rendered.of(movies, integers=integers))
        assert written == orjson.dumps(recommendation_documents(movies, integers=integers))
    assert b'"movie_id":7,' in orjson.dumps(rendered.of(movies, integers=True))
    assert b'"movie_id":"7",' in orjson.dumps(rendered.of(movies, integers=False))


def test_what_the_crowd_adds_to_a_score_is_told_where_it_adds_something() -> None:
    """The field is null without such a part."""
    without = recommended()
    with_crowd = replace(without.recommendations[0], crowd_weight=0.123456789)
    assert recommendation_documents(without, integers=True)[0]["crowd_weight"] is None
    documents = recommendation_documents(RecommendationList("model", (with_crowd,)), integers=True)
    assert documents[0]["crowd_weight"] == 0.123457


def test_what_nobody_holds_is_let_go() -> None:
    """The cache of rendered lists is never longer than that of responses."""
    rendered, movies = RenderedLists(), recommended()
    rendered.of(movies, integers=True)
    rendered.of(recommended(), integers=True)
    gc.collect()
    assert len(rendered) == 1
    del movies
    gc.collect()
    assert len(rendered) == 0
