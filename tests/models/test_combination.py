"""The combination: what it follows, what it learns from few and from many likes, and the parts of its scores."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ratings import ignore
from trends_of_days import (
    DAY,
    EVERYTHING,
    N_DAYS,
    N_MOVIES,
    combination_of,
    context_of,
    fitted,
    history_of,
    log_of_trends,
    with_likes,
)

from cineclub.domain.errors import BrokenArtifact
from cineclub.domain.evaluation.scoreboard import filtered
from cineclub.domain.ratings.crowd import HALF_LIVES_DAYS
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog, UserRatings
from cineclub.domain.recommend.cold_start import score_movies
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recipe import Recipe
from cineclub.models import catalogue
from cineclub.models.combination import bases
from cineclub.models.combination.features import (
    FEATURES,
    OF_BASES,
    OF_MOVIES,
    OF_PERSONS,
    TREND_OF_WEEK,
    MovieFigures,
    PersonalWeights,
    candidate_features,
)
from cineclub.models.combination.learning import CUTS, Trends
from cineclub.models.combination.model import Combination, CombinationHyperparameters
from cineclub.models.combination.weights import FEWEST_EVENTS, single_source

NOBODY = history_of([])


def test_likes_of_the_last_days_lead_for_people_with_and_without_a_history() -> None:
    """Where people like what the crowd likes, the film of the hour leads, and another context has another leader."""
    model = combination_of(log_of_trends())
    for history in (NOBODY, history_of([40, 41])):
        for movie in (7, 23):
            context = with_likes(model, movie, 100.0)
            assert int(np.argmax(model.predict_in_context(history, context).scores)) == movie


def test_new_people_get_trends_and_are_new() -> None:
    """Somebody without ratings gets the model's scores under the strategy popular."""
    model = fitted(log_of_trends())
    assert isinstance(model.recommender, Combination)
    nobody = score_movies(model, UserRatings.none(), with_likes(model.recommender, 7, 100.0))
    assert nobody.is_new_user
    assert nobody.strategy == "popular"
    assert int(np.argmax(nobody.scores)) == 7
    assert nobody.crowd is not None
    np.testing.assert_array_equal(nobody.crowd, nobody.scores)


def test_people_whose_films_no_base_model_knows_are_new() -> None:
    """Ratings of films that the filter leaves out move nothing; with one known film the user is known."""
    matrix, _ = filtered(log_of_trends(), 5, 60)
    model = catalogue.fit(Recipe("combination", {"min_ratings": 11}), matrix, np.random.default_rng(0), ignore)
    assert isinstance(model.recommender, Combination)
    known = model.movie_ids[model.recommender.bases.movies]
    rare = np.setdiff1d(model.movie_ids, known)[:2]
    likes, times = np.full(3, 5.0, np.float32), np.arange(3) + N_DAYS * DAY
    nobody = score_movies(model, UserRatings.none())
    half_known = score_movies(model, UserRatings(rare, likes[:2], times[:2]))
    assert (half_known.strategy, half_known.is_new_user) == ("popular", True)
    np.testing.assert_array_equal(half_known.scores, nobody.scores)
    with_known = score_movies(model, UserRatings(np.append(rare, known[0]), likes, times))
    assert (with_known.strategy, with_known.is_new_user) == ("model", False)
    assert np.abs(with_known.scores - nobody.scores).max() > 0


def test_few_likes_leave_the_best_single_source() -> None:
    """With fewer likes than weights could be learned from, films are ranked by one source, for everybody alike."""
    log = log_of_trends(n_a_day=8)
    assert len(log) * 0.11 < FEWEST_EVENTS
    model = combination_of(log)
    trends = {f"trend_{days:g}" for days in HALF_LIVES_DAYS}
    for weights, sources in zip(model.weights, (trends | set(OF_BASES), trends), strict=True):
        used = [name for name, weight in zip(FEATURES, weights, strict=True) if weight]
        assert set(used) - {"all_time"} <= sources
        assert len(used) <= 2
    likes = np.random.default_rng(0).random((len(HALF_LIVES_DAYS), N_MOVIES)).astype(np.float32)
    source = next(name for name in used if name != "all_time") if len(used) == 2 else "all_time"
    if source.startswith("trend_"):
        ranked = np.argsort(-model.predict_in_context(NOBODY, Context(N_DAYS * DAY, likes)).scores)
        assert ranked[:10].tolist() == np.argsort(-likes[OF_MOVIES.index(source)])[:10].tolist()


def test_an_infinite_shrinkage_ranks_as_the_best_single_source() -> None:
    """The limit of the pull is one source with one weight, with and without a history."""
    for weights in combination_of(log_of_trends(), shrinkage=1_000_000.0).weights:
        strongest = np.abs(weights).max()
        assert np.count_nonzero(np.abs(weights) > 1e-2 * strongest) == 1


def test_more_likes_teach_more_than_one_source() -> None:
    """With the default pull several features have weights; those of films alone without a history."""
    known, new = combination_of(log_of_trends()).weights
    assert np.count_nonzero(np.abs(known) > 1e-3) > 5
    assert np.count_nonzero(np.abs(new) > 1e-3) > 5
    assert not new[len(OF_MOVIES) :].any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), first=st.integers(0, 1))
def test_personal_weights_say_the_same_as_the_features_of_candidates(seed: int, first: int) -> None:
    """The served scores are the learned features times the weights, written for all films at once."""
    rng = np.random.default_rng(seed)
    weights, values = rng.normal(size=len(FEATURES)), rng.normal(size=len(OF_PERSONS))
    of_movies = rng.normal(size=(len(OF_MOVIES), 6)).astype(np.float32)
    of_bases = rng.normal(size=(len(OF_BASES), 6)).astype(np.float32)
    learned = candidate_features(of_movies, of_bases, first, values) @ weights
    personal = PersonalWeights.of(weights, values)
    lead = of_bases[2 * first]
    served = personal.of_movies @ of_movies + personal.of_bases @ of_bases
    served += lead * (personal.personal + personal.personal_by_trend * of_movies[TREND_OF_WEEK])
    np.testing.assert_allclose(served, learned, atol=1e-4)


def test_reasons_and_the_crowds_part_make_the_score() -> None:
    """Contributions of ratings and the crowd's part add up to the score, film by film, in any context."""
    model, history = combination_of(log_of_trends()), history_of([3, 9, 14, 20])
    for context in (model.frozen_context, context_of(7, 5.0)):
        prediction = model.predict_in_context(history, context)
        assert prediction.crowd is not None
        reasons = prediction.explain(EVERYTHING)
        assert np.abs(reasons).sum() > 0
        np.testing.assert_allclose(reasons.sum(axis=1) + prediction.crowd, prediction.scores, atol=1e-3)
        np.testing.assert_allclose(prediction.explain(EVERYTHING[5:6])[0], reasons[5], atol=1e-5)


def test_only_likes_of_the_last_days_make_a_film_popular_now() -> None:
    """The trend is the part of trends and shares; films whose likes are old, or without any, have none of it."""
    model = combination_of(log_of_trends())
    counts = with_likes(model, 7, 100.0).counts.copy()
    counts[:, 9], counts[:, 11] = np.exp2(-365 / np.array(HALF_LIVES_DAYS)), 0.0  # a year ago, and never
    for history in (NOBODY, history_of([3, 14])):
        prediction = model.predict_in_context(history, replace(model.frozen_context, counts=counts))
        assert prediction.crowd is not None
        assert prediction.trend is not None
        assert prediction.trend[7] > 0
        assert prediction.trend[[9, 11]].tolist() == [0, 0]


def test_likes_of_all_time_do_not_make_a_film_popular_now() -> None:
    """A model whose one source is the likes of all time says of no film that the likes of the last days raised it."""
    model = combination_of(log_of_trends())
    of_all_time = replace(model, weights=np.stack([single_source("all_time", 1.0)] * 2))
    prediction = of_all_time.predict_in_context(history_of([3, 14]), with_likes(model, 7, 100.0))
    assert prediction.crowd is not None
    assert prediction.trend is not None
    assert (prediction.crowd > 0).any()
    assert not prediction.trend.any()


@pytest.mark.parametrize("moment", [0, -(2**40), 2**55, N_DAYS * DAY])
@pytest.mark.parametrize("likes", [0.0, 1e-30, 1e9])
def test_scores_are_finite_in_any_context(moment: int, likes: float) -> None:
    """An empty crowd, a crowd of one film, and moments before and long after all ratings give finite scores."""
    model = combination_of(log_of_trends())
    for history in (NOBODY, history_of([1]), history_of(list(range(30)), 0.5)):
        assert np.isfinite(model.predict_in_context(history, context_of(3, likes, moment)).scores).all()


def with_bad_times(log: RatingLog, kind: str) -> RatingLog:
    """Return a log in which clocks are wrong, the last month is empty, or one person likes everything in an instant."""
    match kind:
        case "a clock of 2099":
            return replace(log, rated_at=np.where(np.arange(len(log)) == len(log) - 1, 2**52, log.rated_at))
        case "an empty last month":
            return log.take(log.rated_at < (N_DAYS - 30) * DAY)
        case _:
            columns = (log.user_ids, log.movie_ids, log.ratings, log.rated_at)
            likes, moment = np.full(N_MOVIES, 5.0, np.float32), np.full(N_MOVIES, N_DAYS * DAY)
            burst = (np.full(N_MOVIES, 9_999), EVERYTHING, likes, moment)
            joined = (np.concatenate(pair) for pair in zip(columns, burst, strict=True))
            return RatingLog.from_columns(*joined, log.scale)


@pytest.mark.parametrize("kind", ["a clock of 2099", "an empty last month", "a burst of one person"])
def test_bad_times_leave_sound_lists(kind: str) -> None:
    """The film of the hour is still among the first two for everybody, and no score is NaN."""
    model = combination_of(with_bad_times(log_of_trends(), kind))
    for history in (NOBODY, history_of([1]), history_of([40, 41])):
        scores = model.predict_in_context(history, with_likes(model, 7, 100.0)).scores
        assert np.isfinite(scores).all()
        assert 7 in np.argsort(-scores)[:2]
        assert np.isfinite(model.predict(history).scores).all()


@pytest.mark.parametrize("learned_on", ["newest", "last-out"])
def test_ratings_of_one_instant_and_of_one_film_are_survived(learned_on: str) -> None:
    """Everything rated in one instant, one film, and one rating give finite scores."""
    log = log_of_trends(n_a_day=4)
    logs = [
        replace(log, rated_at=np.zeros(len(log), np.int64)),
        log.take(log.movie_ids == 3),
        log.take(np.arange(len(log)) < 1),
    ]
    for small in logs:
        model = combination_of(small, learned_on=learned_on)
        assert np.isfinite(model.scores(NOBODY)).all()


def test_the_last_ratings_of_each_person_teach_too() -> None:
    """With last-out the weights are learned in one context, and are others."""
    newest, last = (combination_of(log_of_trends(), learned_on=cut) for cut in ("newest", "last-out"))
    assert np.abs(newest.weights - last.weights).max() > 1e-3
    np.testing.assert_array_equal(newest.frozen_context.counts, last.frozen_context.counts)


@pytest.mark.parametrize("cut", list(CUTS))
def test_a_film_that_nobody_has_rated_yet_is_no_candidate(cut: str) -> None:
    """A film that is first rated in the lesson is in a list from its first like on: before, that it is there tells."""
    log = log_of_trends()
    is_new = (log.rated_at > 39 * DAY) & (np.arange(len(log)) % 3 == 0)
    log = replace(log, movie_ids=np.where(is_new, N_MOVIES + np.arange(len(log)) % 5, log.movie_ids))
    before, likes = CUTS[cut](log, np.random.default_rng(0))
    former = np.isin(likes.movie_ids, before.movie_ids)
    places = np.searchsorted(likes.movie_ids, before.movie_ids).astype(np.int32)
    figures = MovieFigures.of(places, before.ratings, before.rated_at, log.scale, len(likes.movie_ids))
    n_new = 0
    for like in likes.each():
        candidates = Trends.of(figures, like.context, np.random.default_rng(0)).best
        assert (former | like.context.counts.any(axis=0))[candidates].all()
        n_new += int(np.count_nonzero(~former[candidates]))
    assert (n_new > 0) == (cut == "newest")


def test_an_unrated_film_in_the_catalogue_teaches_nothing() -> None:
    """The weights are the same with it and without it."""
    log = log_of_trends()
    first, second = (
        catalogue.fit(
            Recipe("combination", {}), filtered(log.within(movies), 5, 11)[0], np.random.default_rng(0), ignore
        )
        for movies in (EVERYTHING, np.append(EVERYTHING, N_MOVIES + 7))
    )
    alone, beside = first.recommender, second.recommender
    assert isinstance(alone, Combination)
    assert isinstance(beside, Combination)
    np.testing.assert_array_equal(alone.weights, beside.weights)


def test_films_and_people_with_few_ratings_are_learned_from() -> None:
    """The filter of a training leaves films out of the base models, not out of the vocabulary."""
    log = log_of_trends()
    matrix, _ = filtered(log, 5, 60)
    assert matrix.n_movies < N_MOVIES
    model = catalogue.fit(Recipe("combination", {"min_ratings": 11}), matrix, np.random.default_rng(0), ignore)
    assert len(model.movie_ids) == N_MOVIES
    assert isinstance(model.recommender, Combination)
    assert 0 < len(model.recommender.bases.movies) < N_MOVIES


def test_a_film_that_nobody_has_rated_yet_can_lead_as_soon_as_it_is_liked() -> None:
    """The vocabulary is the catalogue; an unrated film is never near the top before it has likes."""
    unrated = N_MOVIES + 7
    log = log_of_trends().within(np.append(EVERYTHING, unrated))
    matrix, _ = filtered(log, 5, 11)
    fitted_model = catalogue.fit(Recipe("combination", {}), matrix, np.random.default_rng(0), ignore)
    model = fitted_model.recommender
    assert isinstance(model, Combination)
    assert fitted_model.movie_ids.tolist() == [*EVERYTHING.tolist(), unrated]
    quiet = model.predict_in_context(NOBODY, model.frozen_context).scores
    assert quiet[-1] == quiet.min() < np.median(quiet)
    assert model.figures.unrated_in(model.frozen_context).tolist() == [N_MOVIES]
    assert not len(model.figures.unrated_in(with_likes(model, N_MOVIES, 1.0)))
    liked = model.predict_in_context(history_of([3, 4]), with_likes(model, N_MOVIES, 100.0)).scores
    assert int(np.argmax(liked)) == N_MOVIES


def test_without_a_dense_part_trends_alone_rank() -> None:
    """Where no base model can be fitted the scores are those of trends, and no rating is a reason."""
    model = combination_of(log_of_trends(), min_ratings=1000)
    prediction = model.predict_in_context(history_of([3, 4]), with_likes(model, 7, 100.0))
    assert int(np.argmax(prediction.scores)) == 7
    assert not prediction.explain(EVERYTHING).any()


def test_many_ratings_have_the_factor_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit SLIST is left out, and iALS takes its place in the products with persons' values."""
    monkeypatch.setattr(bases, "MANY_RATINGS", 10)
    model = combination_of(log_of_trends())
    assert model.bases.slist is None
    assert model.bases.first == 1
    restored = Combination.from_arrays(model.arrays())
    history = history_of([3, 9])
    assert restored.scores(history).tobytes() == model.scores(history).tobytes()
    assert not model.weights[:, FEATURES.index("slist_log")].any()


@pytest.mark.parametrize("learned_on", ["newest", "last-out"])
def test_the_memory_that_a_fit_needs_is_about_what_it_takes(learned_on: str) -> None:
    """A fit takes at most the memory that it asks for, and more than a third of it, when its kernels are compiled."""
    log, values = log_of_trends(), CombinationHyperparameters(learned_on=learned_on)
    combination_of(log, learned_on=learned_on)
    tracemalloc.start()
    try:
        combination_of(log, min_ratings=values.min_ratings, learned_on=learned_on)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < Combination.needed_bytes(values, Extent.of(log)) < 3 * peak


def test_a_thousand_ratings_need_little_memory() -> None:
    """A service with few ratings and half a gigabyte learns a combination; millions of ratings need more than that."""
    values, half = CombinationHyperparameters(), 2**29
    assert Combination.needed_bytes(values, Extent(100, 500, 1000)) < half / 8
    assert Combination.needed_bytes(values, Extent(10_000, 5000, 1_000_000)) > half


def test_base_models_of_other_films_are_refused() -> None:
    """An artifact whose base models do not fit its vocabulary is refused."""
    arrays = dict(combination_of(log_of_trends()).arrays())
    for movies in (arrays["base_movies"][:-1], arrays["base_movies"][::-1], arrays["base_movies"] + N_MOVIES):
        with pytest.raises(BrokenArtifact, match="base"):
            Combination.from_arrays({**arrays, "base_movies": np.ascontiguousarray(movies)})
