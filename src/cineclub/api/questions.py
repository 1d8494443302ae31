"""Requests as the questions that the flows answer."""

from collections.abc import Sequence

from cineclub.api.schemas import BatchRequest, ChoiceIn, GivenRatingIn, PredictRequest
from cineclub.domain.choice import Choice
from cineclub.domain.questions import GivenRating, Question


def question_of(body: PredictRequest) -> Question:
    """Return what a request asks, with ids as text."""
    return Question(
        top_n=body.top_n,
        user_id=None if body.user_id is None else str(body.user_id),
        ratings=tuple(given_rating(one) for one in body.ratings or ()),
        choice=_choice_of(body),
    )


def questions_of(body: BatchRequest) -> list[Question]:
    """Return what a request asks for each of its users."""
    choice = _choice_of(body)
    return [Question(body.top_n, str(user_id), (), choice) for user_id in body.user_ids]


def _choice_of(body: ChoiceIn) -> Choice:
    """Return which films a request leaves to choose among."""
    candidates = body.candidate_movie_ids
    return Choice(
        genres=tuple(body.genres),
        exclude_genres=tuple(body.exclude_genres),
        year_from=body.year_from,
        year_to=body.year_to,
        exclude_movie_ids=_texts(body.exclude_movie_ids),
        candidate_movie_ids=None if candidates is None else _texts(candidates),
        include_seen=body.include_seen,
        diversity=body.diversity,
    )


def given_rating(one: GivenRatingIn) -> GivenRating:
    """Return a rating with the one id that names its film."""
    if one.movie_id is not None:
        return GivenRating(str(one.movie_id), one.rating)
    if one.imdb_id is not None:
        return GivenRating(str(one.imdb_id), one.rating, "imdb_id")
    return GivenRating(str(one.tmdb_id), one.rating, "tmdb_id")


def _texts(ids: Sequence[int | str]) -> tuple[str, ...]:
    """Return ids as text."""
    return tuple(str(one) for one in ids)
