"""Recommendations of one model for one request and history: score, mix, filter, rank, step back, diversify, explain."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.movies.attributes import shared_attributes
from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.ratings.vocabulary import Vocabulary
from cineclub.domain.recommend.cold_start import MovieScores, Strategy, score_movies, undated
from cineclub.domain.recommend.diversity import diversify, n_contenders
from cineclub.domain.recommend.filters import NO_FILTERS, Filters
from cineclub.domain.recommend.impressions import NO_IMPRESSIONS, Impressions, stepped_back
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.recommendations import Reason, Recommendation, RecommendationList, SimilarTo
from cineclub.domain.recommend.records import PopularMovie
from cineclub.domain.recommend.request import RecommendationRequest, given_ratings, position_of
from cineclub.domain.recommend.trends import Trend, fresh_trend, mix
from cineclub.domain.recommend.unlearned import CONTENDERS, PLACES, is_exploring, placed

MAX_REASONS = 3


def recommend(
    model: LiveModel,
    request: RecommendationRequest,
    history: UserRatings,
    crowd: CrowdCounts | None = None,
    impressions: Impressions = NO_IMPRESSIONS,
) -> RecommendationList:
    """Return the movies that a model recommends to a user with these ratings, best first.

    Args:
        model: the fitted model with its movies.
        request: the number of movies, the share of the trend, and the filters; its user and ratings are not read.
        history: the ratings to recommend from, as ``history_for`` returns them.
        crowd: the crowd's counts at the moment of the request; None takes those that are frozen with the model,
            and the popularity for the trend.
        impressions: the movies that step back; rated ones never do.

    Raises:
        InvalidInput: no movie has a genre or label of the filters.
    """
    scores = extended_scores(model, score_movies(model.fitted, history, model.context_in(crowd)))
    excluded = excluded_positions(model, request, scores, history)
    is_popular = scores.is_new_user or request.fresh == 1  # no rating of the user moved the scores
    recommend_positions = recommend_popular if is_popular else recommend_personal
    not_taken = impressions.without(history.movie_ids)
    if not request.fresh:
        ranked_by, left_out = model.unlearned.learned_first(scores, excluded, request.top_n)
        positions = best_positions(model.vocabulary, ranked_by, left_out, request, model.movie_ids, not_taken)
        if len(positions) >= PLACES:
            moment = 0 if crowd is None else crowd.moment
            newness, explores = model.latest_newness.of(crowd), is_exploring(history, moment)
            contenders = model.unlearned.contenders(scores, excluded, newness, is_exploring=explores)
            stepped = stepped_back(not_taken.of(model.movie_ids[contenders])) if len(not_taken) else slice(None)
            positions = placed(positions, contenders[stepped], scores)
        return RecommendationList(scores.strategy, recommend_positions(model, scores, positions))
    mixed = mix(scores.scores, model.latest_trend.of(crowd), excluded, request.fresh, request.top_n)
    positions = best_positions(model.vocabulary, mixed.scores, excluded, request, model.movie_ids, not_taken)
    ranked = recommend_positions(model, replace(scores, scores=mixed.scores), positions)
    strategy: Strategy = scores.strategy if request.fresh < 1 else "popular"
    return RecommendationList(strategy, _with_crowd(ranked, mixed.crowd_weights[positions]))


def extended_scores(model: LiveModel, scores: MovieScores) -> MovieScores:
    """Return the scores of a model for its own movies as those of all, with the unlearned ones."""
    is_moved = model.fitted.recommender.is_personal and not scores.is_new_user
    return model.unlearned.extended(scores, len(model.movies), is_moved=is_moved)


def _most_alike(model: LiveModel, position: int, excluded: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the unlearned movies, positions (n,), that share a label or a genre with one, most similar first."""
    catalogue, movie, unlearned = model.catalogue, model.movies[position], model.unlearned
    at = None if catalogue is None else catalogue.positions.get(movie.movie_id)
    if catalogue is None or at is None:
        return np.empty(0, np.int64)
    cosines = catalogue.similarity.of(at)[unlearned.in_catalogue]
    cosines[np.isin(unlearned.positions, excluded)] = 0
    best = unlearned.positions[np.argsort(-cosines, kind="stable")[:CONTENDERS]]
    is_alike = [bool(shared_attributes(model.movies[other], movie)) for other in best.tolist()]
    return best[np.array(is_alike, np.bool_) & ~np.isin(best, excluded)]


def excluded_positions(
    model: LiveModel, request: RecommendationRequest, scores: MovieScores, history: UserRatings
) -> NDArray[np.int64]:
    """Return the positions of the movies that a list must not hold: of the filters, rated ones and withdrawn ones."""
    seen = model.seen_positions(scores, history.movie_ids)
    excluded = request.filters.excluded(model.vocabulary, seen)
    return np.concatenate([excluded, model.withdrawn]) if len(model.withdrawn) else excluded


def recommend_similar(model: LiveModel, position: int, top_n: int, filters: Filters = NO_FILTERS) -> RecommendationList:
    """Return the movies that the highest rating of one movie alone raises most, best first.

    The scores are without the part that is everybody's. Where the rating moves no score the popular movies are listed.

    Args:
        model: the fitted model with its movies.
        position: of the movie in the vocabulary.
        top_n: the number of movies.
        filters: which of them may be listed.

    Raises:
        InvalidInput: no movie has a genre or label of the filters.
    """
    fitted = model.fitted
    highest = np.array([fitted.scale.highest], np.float32)
    history = undated(fitted, fitted.movie_ids[position : position + 1], highest)
    of_own, request = score_movies(fitted, history), RecommendationRequest(top_n, filters=filters)
    moved = of_own.scores if of_own.crowd is None else of_own.scores - of_own.crowd
    if of_own.strategy == "popular" or not moved.any():
        return RecommendationList("popular", recommend(model, request, history).recommendations)
    alone = extended_scores(model, replace(of_own, scores=moved, crowd=None, trend=None))
    excluded = excluded_positions(model, request, of_own, history)
    positions = rank_movies(*model.unlearned.learned_first(alone, excluded, top_n), top_n)
    if len(positions) >= PLACES:
        positions = placed(positions, _most_alike(model, position, excluded), alone)
    return RecommendationList(of_own.strategy, recommend_personal(model, alone, positions))


def history_for(
    model: LiveModel, request: RecommendationRequest, user_ratings: UserRatings, now: datetime
) -> UserRatings:
    """Return the ratings to recommend from: those of the user, or without a user those of the request.

    Raises:
        InvalidInput: a rating of the request is off the scale.
    """
    if request.user_id is not None:
        return user_ratings
    return given_ratings(model.movie_ids, model.vocabulary, model.fitted.scale, request.ratings, now)


def recommend_popular(
    model: LiveModel, scores: MovieScores, positions: NDArray[np.int32]
) -> tuple[Recommendation, ...]:
    """Return the movies for a new user, or of the trend alone, without reasons: no rating moved their scores."""
    scored = zip(positions.tolist(), scores.scores[positions].tolist(), _crowd_weights(scores, positions), strict=True)
    return tuple(
        Recommendation(rank, model.movies[position], score, crowd_weight=crowd_weight)
        for rank, (position, score, crowd_weight) in enumerate(scored, start=1)
    )


def recommend_personal(
    model: LiveModel, scores: MovieScores, positions: NDArray[np.int32]
) -> tuple[Recommendation, ...]:
    """Return the movies for a user whose ratings the model uses, with stars where it predicts them, and reasons."""
    reasons = _reasons(model, scores, positions)
    columns = zip(
        positions.tolist(),
        scores.scores[positions].tolist(),
        _predicted_stars(model, scores, positions),
        reasons,
        _crowd_weights(scores, positions),
        _similar_to(model, scores, positions, reasons),
        strict=True,
    )
    return tuple(
        Recommendation(rank, model.movies[position], *details)
        for rank, (position, *details) in enumerate(columns, start=1)
    )


def recommend_without_model(
    popular: Sequence[PopularMovie],
    request: RecommendationRequest,
    user_ratings: UserRatings,
    crowd: CrowdCounts | None = None,
    impressions: Impressions = NO_IMPRESSIONS,
) -> RecommendationList:
    """Return the most popular movies that a request leaves, while there is no model.

    Args:
        popular: movies to choose among.
        request: the request.
        user_ratings: the ratings of its user.
        crowd: the crowd's counts, for the share of the trend; without them the popularity is the trend.
        impressions: the movies that step back; rated ones never do.

    Raises:
        InvalidInput: no movie has a genre or label of the filters.
    """
    vocabulary = Vocabulary.of([item.movie for item in popular])
    rated = set(user_ratings.movie_ids.tolist())
    seen = [position for position, item in enumerate(popular) if item.movie.movie_id in rated]
    named = (position_of(vocabulary, rating.movie_id, rating.naming) for rating in request.ratings)
    seen += [position for position in named if position is not None]
    withdrawn = [position for position, item in enumerate(popular) if not item.movie.is_available]
    scores = np.array([item.score for item in popular], np.float32)
    movie_ids = np.array([item.movie.movie_id for item in popular], np.int64)
    excluded = np.concatenate([request.filters.excluded(vocabulary, np.array(seen, np.int32)), withdrawn]).astype(
        np.int64
    )
    trend = fresh_trend(crowd, movie_ids, scores) if request.fresh else Trend.unknown(scores)
    mixed = mix(scores, trend, excluded, request.fresh, request.top_n)
    not_taken = impressions.without(user_ratings.movie_ids)
    positions = best_positions(vocabulary, mixed.scores, excluded, request, movie_ids, not_taken)
    scored = zip(positions.tolist(), mixed.scores[positions].tolist(), strict=True)
    ranked = tuple(Recommendation(rank, popular[at].movie, score) for rank, (at, score) in enumerate(scored, start=1))
    return RecommendationList("popular", _with_crowd(ranked, mixed.crowd_weights[positions]))


def best_positions(
    vocabulary: Vocabulary,
    scores: NDArray[np.float32],
    excluded: NDArray[np.int64],
    request: RecommendationRequest,
    movie_ids: NDArray[np.int64],
    impressions: Impressions,
) -> NDArray[np.int32]:
    """Return the positions of the movies to list, best first: ranked by score, stepped back, and diversified.

    A movie that steps back takes the score of its new place, which diversity then weighs against similarity.

    Args:
        vocabulary: the movies to choose among.
        scores: (n_movies,) their scores.
        excluded: (n,) the movies that the filters exclude.
        request: the number of movies, and the diversity.
        movie_ids: (n_movies,) their internal ids.
        impressions: the movies that step back.
    """
    top_n, diversity = request.top_n, request.filters.diversity
    if not diversity and not len(impressions):
        return rank_movies(scores, excluded, top_n)
    best = rank_movies(scores, excluded, n_contenders(top_n))
    stepped = best[stepped_back(impressions.of(movie_ids[best]))] if len(impressions) else best
    if not diversity:
        return stepped[:top_n]
    return stepped[diversify(scores[best], vocabulary.genres[:, stepped], diversity, top_n)]


def _with_crowd(ranked: tuple[Recommendation, ...], weights: NDArray[np.float32]) -> tuple[Recommendation, ...]:
    """Return movies with the trend as a reason of those with a weight above 0, (n_movies,)."""
    return tuple(
        replace(movie, crowd_weight=weight if weight > 0 else None)
        for movie, weight in zip(ranked, weights.tolist(), strict=True)
    )


def _predicted_stars(model: LiveModel, scores: MovieScores, positions: NDArray[np.int32]) -> list[float | None]:
    """Return the expected rating of each movie, None each where the model predicts none."""
    stars: list[float | None] = [None] * len(positions)
    if model.stars is not None:
        is_own = positions < len(model.fitted.movie_ids)
        if scores.is_estimated is not None:
            is_own &= ~scores.is_estimated[positions]
        predicted = model.stars.predict_stars(scores.history, positions[is_own])
        for at, value in zip(np.flatnonzero(is_own).tolist(), predicted.tolist(), strict=True):
            stars[at] = value
    return stars


def _similar_to(
    model: LiveModel,
    scores: MovieScores,
    positions: NDArray[np.int32],
    reasons: Sequence[tuple[Reason, ...]],
) -> list[SimilarTo | None]:
    """Return for each unlearned movie the movie that speaks for it: a reason, or the most similar learned one."""
    if scores.is_estimated is None:
        return [None] * len(positions)
    return [
        _speaking_for(model, position, reasons_of_movie) if scores.is_estimated[position] else None
        for position, reasons_of_movie in zip(positions.tolist(), reasons, strict=True)
    ]


def _speaking_for(model: LiveModel, position: int, reasons: tuple[Reason, ...]) -> SimilarTo | None:
    """Return the first reason that shares a label or a genre with a movie, else the most similar movie that does."""
    unlearned, movie = model.unlearned, model.movies[position]
    nearest = unlearned.nearest.positions[np.searchsorted(unlearned.positions, position)].tolist()
    for other in (*(reason.movie for reason in reasons), *(model.movies[at] for at in nearest)):
        if (similar_to := SimilarTo.of(movie, other)) is not None:
            return similar_to
    return None


def _crowd_weights(scores: MovieScores, positions: NDArray[np.int32]) -> list[float | None]:
    """Return by how much the likes of the last days raised each score, None each where they did not."""
    if scores.trend is None:
        return [None] * len(positions)
    return [weight if weight > 0 else None for weight in scores.trend[positions].tolist()]


def _reasons(model: LiveModel, scores: MovieScores, positions: NDArray[np.int32]) -> list[tuple[Reason, ...]]:
    """Return for each movie the ratings that raised its score most, at most three, strongest first."""
    history = scores.history
    if not len(positions) or not len(history):
        return [()] * len(positions)
    columns, contributions = _largest(scores.explain(positions))
    rated, ratings = history.movie_indices[columns].tolist(), history.ratings[columns].tolist()
    return [
        tuple(
            Reason(model.movies[movie_index], rating, contribution)
            for movie_index, rating, contribution in zip(*reasons_of_movie, strict=True)
            if contribution > 0
        )
        for reasons_of_movie in zip(rated, ratings, contributions.tolist(), strict=True)
    ]


def _largest(contributions: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return columns and values of the largest entries of each row, shape (m, n); equal ones by rising column.

    Both have the shape (m, at most ``MAX_REASONS``), largest first; the contributions are overwritten.
    """
    n_wanted = min(MAX_REASONS, contributions.shape[1])
    rows = np.arange(len(contributions))
    columns = np.empty((len(contributions), n_wanted), np.int64)
    largest = np.empty((len(contributions), n_wanted), np.float32)
    for nth in range(n_wanted):
        columns[:, nth] = contributions.argmax(axis=1)
        largest[:, nth] = contributions[rows, columns[:, nth]]
        contributions[rows, columns[:, nth]] = -np.inf
    return columns, largest
