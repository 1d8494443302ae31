"""Properties of every model of the catalogue, on any ratings."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_worlds import SCALES, TOP, degenerate_worlds, everybody_in, fitted_on, log_of, worlds

from cineclub.domain.errors import BrokenArtifact, InvalidInput, TrainingCancelled
from cineclub.domain.evaluation.evaluate import evaluate
from cineclub.domain.evaluation.splitting import split_last_out
from cineclub.domain.ratings.log import RatingLog, UserRatings
from cineclub.domain.ratings.matrix import RatingMatrix
from cineclub.domain.recommend.cold_start import is_new_user, score_movies, scores_of_many
from cineclub.domain.recommend.ranking import rank_movies
from cineclub.domain.recommend.recommender import FittedModel, History, Prediction, PredictsStars
from cineclub.domain.recommend.trends import Trend, mix
from cineclub.models import catalogue
from cineclub.models.catalogue import CATALOGUE

MODELS = sorted(CATALOGUE)
every_model = pytest.mark.parametrize("name", MODELS)
few_examples = settings(max_examples=15, deadline=None)


def bytes_of(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return arrays as comparable values."""
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}


def stored_and_loaded(array: np.ndarray) -> np.ndarray:
    """Return a read-only array stored in and loaded from a file, as a mapped one is."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    file.seek(0)
    loaded = np.load(file, allow_pickle=False)
    loaded.setflags(write=False)
    return loaded


def restored(fitted: FittedModel, arrays: Mapping[str, np.ndarray]) -> FittedModel:
    """Return the model of arrays."""
    return catalogue.restore(fitted.recipe, arrays, fitted.movie_ids, fitted.popularity, fitted.scale)


@every_model
@few_examples
@given(log=worlds(), top_n=st.integers(1, 12))
def test_rated_movies_never_come_back(name: str, log: RatingLog, top_n: int) -> None:
    """A list holds no rated film, no film twice, and as many films as requested or available."""
    fitted = fitted_on(name, log)
    for person in everybody_in(log):
        prediction = score_movies(fitted, person)
        recommended = fitted.movie_ids[rank_movies(prediction.scores, prediction.history.movie_indices, top_n)]
        assert not np.isin(recommended, person.movie_ids).any()
        assert len(set(recommended.tolist())) == len(recommended) == min(top_n, len(fitted.movie_ids) - len(person))


@every_model
@few_examples
@given(log=worlds(), fresh=st.floats(0, 1), top_n=st.integers(1, 12), seed=st.integers(0, 99))
def test_any_share_of_a_trend_gives_whole_lists(name: str, log: RatingLog, fresh: float, top_n: int, seed: int) -> None:
    """Whatever the scale of the scores, a mixed list is as long as the plain one, finite, and without rated films."""
    fitted = fitted_on(name, log)
    trend = np.random.default_rng(seed).exponential(size=len(fitted.movie_ids)).astype(np.float32)
    for person in everybody_in(log):
        prediction = score_movies(fitted, person)
        seen = prediction.history.movie_indices
        mixed = mix(prediction.scores, Trend(trend, trend > 0), seen, fresh, top_n).scores
        recommended = rank_movies(mixed, seen, top_n)
        assert np.isfinite(mixed[recommended]).all()
        assert len(recommended) == len(rank_movies(prediction.scores, seen, top_n))
        assert not np.isin(recommended, seen).any()


@every_model
@few_examples
@given(log=worlds(), shuffle=st.randoms())
def test_the_order_of_the_rows_changes_nothing(name: str, log: RatingLog, shuffle: st.DataObject) -> None:
    """The same ratings in another order give the same arrays, byte for byte."""
    order = list(range(len(log)))
    shuffle.shuffle(order)
    columns = (column[order] for column in (log.user_ids, log.movie_ids, log.ratings, log.rated_at))
    shuffled = RatingLog.from_columns(*columns, log.scale)
    assert bytes_of(fitted_on(name, shuffled).recommender.arrays()) == bytes_of(
        fitted_on(name, log).recommender.arrays()
    )


@every_model
@few_examples
@given(log=worlds(), seed=st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_bytes(name: str, log: RatingLog, seed: int) -> None:
    """Two fits with one seed are equal, and neither changes its input."""
    before = bytes_of({"ratings": log.ratings, "movies": log.movie_ids})
    first, second = (bytes_of(fitted_on(name, log, seed).recommender.arrays()) for _ in range(2))
    assert first == second
    assert bytes_of({"ratings": log.ratings, "movies": log.movie_ids}) == before


@every_model
@few_examples
@given(log=worlds())
def test_a_stored_model_gives_the_same_bytes(name: str, log: RatingLog) -> None:
    """Read-only arrays loaded from files without pickle give the same scores."""
    fitted = fitted_on(name, log)
    arrays = {label: stored_and_loaded(array) for label, array in fitted.recommender.arrays().items()}
    loaded = restored(fitted, arrays)
    assert bytes_of(loaded.recommender.arrays()) == bytes_of(fitted.recommender.arrays())
    for person in everybody_in(log):
        assert score_movies(loaded, person).scores.tobytes() == score_movies(fitted, person).scores.tobytes()


@every_model
@few_examples
@given(log=worlds())
def test_many_people_at_once_are_scored_as_one_by_one(name: str, log: RatingLog) -> None:
    """Scores of a batch equal those of single histories up to rounding, empty histories included."""
    fitted = fitted_on(name, log)
    people = everybody_in(log)
    batch = scores_of_many(fitted, [History.of(person, fitted.movie_ids) for person in people])
    single = np.array([score_movies(fitted, person).scores for person in people])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, single, atol=1e-4 * (log.scale.highest - log.scale.lowest))


@every_model
@few_examples
@given(log=worlds())
def test_movies_the_model_does_not_know_are_ignored(name: str, log: RatingLog) -> None:
    """Ratings of unknown films, below, between and above the known ids, change no score."""
    fitted = fitted_on(name, log)
    unknown = np.array([1, 8, 10_000], np.int64)
    for person in everybody_in(log):
        more = UserRatings(
            np.concatenate((unknown, person.movie_ids)),
            np.concatenate((np.full(3, log.scale.highest, np.float32), person.ratings)),
            np.concatenate((np.zeros(3, np.int64), person.rated_at)),
        )
        assert score_movies(fitted, more).scores.tobytes() == score_movies(fitted, person).scores.tobytes()


@every_model
@few_examples
@given(log=worlds())
def test_a_model_names_exactly_the_ratings_it_uses(name: str, log: RatingLog) -> None:
    """Leaving out the ratings that a model does not use keeps its scores; without used ratings the user is new."""
    fitted = fitted_on(name, log)
    model = fitted.recommender
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        used = model.uses(history)
        only_used = History(history.movie_indices[used], history.ratings[used], history.rated_at[used])
        assert used.shape == (len(history),)
        assert model.scores(only_used).tobytes() == model.scores(history).tobytes()
        assert is_new_user(fitted, history) == (not used.any() if model.is_personal else not len(history))


@every_model
@few_examples
@given(log=worlds())
def test_who_is_new_does_not_depend_on_what_serves(name: str, log: RatingLog) -> None:
    """A user without ratings of known films is new for every model; one with a usable history is not."""
    fitted = fitted_on(name, log)
    unknown = UserRatings(np.arange(10**6, 10**6 + 2), np.full(2, log.scale.highest, np.float32), np.zeros(2, np.int64))
    for nobody in (UserRatings.none(), unknown):
        assert score_movies(fitted, nobody).is_new_user
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        is_usable = fitted.recommender.uses(history).any() if fitted.recommender.is_personal else len(history) > 0
        assert score_movies(fitted, person).is_new_user == is_new_user(fitted, history) == (not is_usable)


@every_model
@few_examples
@given(log=worlds())
def test_reasons_add_up_to_what_the_history_changed(name: str, log: RatingLog) -> None:
    """The contributions of all ratings sum to the score less the score of somebody without a history.

    Where a part of the scores is the crowd's, they sum to the change of the rest.
    """
    fitted = fitted_on(name, log)
    model = fitted.recommender
    nothing = History.of(UserRatings.none(), fitted.movie_ids)
    everything = np.arange(len(fitted.movie_ids), dtype=np.int32)
    tolerance = 1e-4 * (log.scale.highest - log.scale.lowest)
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        prediction = model.predict(history)
        moved = own_part(prediction) - own_part(model.predict(nothing))
        assert prediction.scores.tobytes() == model.scores(history).tobytes()
        assert prediction.is_used.tolist() == model.uses(history).tolist()
        reasons = prediction.explain(everything[::-1])[::-1]
        assert reasons.shape == (len(everything), len(history))
        assert reasons.dtype == np.float32
        assert np.abs(reasons.sum(axis=1) - moved).max() < tolerance
        assert not reasons[:, ~prediction.is_used].any()
        alone = [prediction.explain(everything[at : at + 1])[0] for at in everything]
        assert np.allclose(reasons, np.array(alone).reshape(reasons.shape), atol=tolerance)
        assert prediction.explain(everything[:0]).shape == (0, len(history))


def own_part(prediction: Prediction) -> np.ndarray:
    """Return the scores without the crowd's part of them."""
    return prediction.scores if prediction.crowd is None else prediction.scores - prediction.crowd


def assert_sane(fitted: FittedModel, log: RatingLog) -> None:
    """Scores are finite numbers for every film, stars lie on the scale, popularity is finite."""
    everything = np.arange(len(fitted.movie_ids), dtype=np.int32)
    assert np.isfinite(fitted.popularity).all()
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        scores = fitted.recommender.scores(history)
        assert scores.dtype == np.float32
        assert scores.shape == (len(everything),)
        assert np.isfinite(scores).all()
        if isinstance(fitted.recommender, PredictsStars):
            assert log.scale.holds(fitted.recommender.predict_stars(history, everything)).all()


@every_model
@few_examples
@given(log=worlds())
def test_scores_are_finite_and_stars_on_the_scale(name: str, log: RatingLog) -> None:
    """Scores are never NaN or infinite, and predicted stars lie on the scale."""
    assert_sane(fitted_on(name, log), log)


@every_model
@pytest.mark.parametrize("oddity", sorted(degenerate_worlds()))
def test_degenerate_ratings_are_survived(name: str, oddity: str) -> None:
    """One film, one user, no variance, no likes, or another scale never give NaN."""
    log = degenerate_worlds()[oddity]
    assert_sane(fitted_on(name, log), log)


@every_model
def test_people_with_the_highest_ids_are_evaluated(name: str) -> None:
    """The evaluation does not overflow with the highest ids: a listed liked film is a hit."""
    split = split_last_out(degenerate_worlds()["ids near 2**63"], 0.3)
    evaluation = evaluate(fitted_on(name, split.fit), split.window, 8)
    assert evaluation.n_evaluated_users > 0
    assert (evaluation.recommended <= TOP).all()
    assert (
        evaluation.per_user["recall"][evaluation.is_evaluated] == 1
    ).all()  # a list of every unseen film misses nothing


@every_model
def test_ratings_that_are_none_are_refused_before_any_fit(name: str) -> None:
    """NaN and a repeated rating of a film by a user are refused by name, for every model."""
    with pytest.raises(InvalidInput, match="finite"):
        fitted_on(name, log_of([(1, 1, float("nan"), 0), (1, 2, 3.0, 1)], SCALES[0]))
    with pytest.raises(InvalidInput, match="user 1 rated film 2 more than once"):
        fitted_on(name, log_of([(1, 2, 4.0, 0), (1, 1, 3.0, 1), (1, 2, 3.0, 2)], SCALES[0]))


@every_model
def test_a_broken_artifact_is_refused(name: str) -> None:
    """A missing array and one of another dtype or shape are named."""
    fitted = fitted_on(name, degenerate_worlds()["0 to 10"])
    arrays = dict(fitted.recommender.arrays())
    for label, array in arrays.items():
        without = {other: arrays[other] for other in arrays if other != label}
        with pytest.raises(BrokenArtifact, match=label):
            restored(fitted, without)
        for broken in (array.astype(np.complex128), array[..., np.newaxis], array[:0]):
            with pytest.raises(BrokenArtifact):
                restored(fitted, {**arrays, label: broken})


@every_model
def test_arrays_of_another_vocabulary_are_refused(name: str) -> None:
    """Arrays fitted on another vocabulary are refused."""
    worlds_by_oddity = degenerate_worlds()
    fitted, other = (fitted_on(name, worlds_by_oddity[oddity]) for oddity in ("0 to 10", "one user"))
    with pytest.raises(BrokenArtifact, match="films"):
        restored(fitted, other.recommender.arrays())


@every_model
def test_progress_rises_to_one_and_can_stop_the_fit(name: str) -> None:
    """Progress rises from 0 to 1, and an exception of the callback stops the fit at the next report."""
    matrix = RatingMatrix.from_log(degenerate_worlds()["0 to 10"])
    recipe, fractions = catalogue.default_recipe(name), []
    catalogue.fit(recipe, matrix, np.random.default_rng(0), fractions.append)
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)

    def cancel(fraction: float) -> None:
        """Raise once progress is above zero."""
        if fraction > 0:
            raise TrainingCancelled

    with pytest.raises(TrainingCancelled):
        catalogue.fit(recipe, matrix, np.random.default_rng(0), cancel)


@every_model
def test_a_hyperparameter_outside_its_range_is_refused_by_name(name: str) -> None:
    """The message names the hyperparameter and its range, or lists the known ones."""
    matrix = RatingMatrix.from_log(degenerate_worlds()["0 to 10"])
    recipe = catalogue.default_recipe(name)
    for label in recipe.hyperparameters:
        for value in (-1, float("nan"), float("inf"), "many", True):
            wrong = type(recipe)(name, {**recipe.hyperparameters, label: value})
            with pytest.raises(InvalidInput, match=f"{label} must be (a .*number from|one of)"):
                catalogue.fit(wrong, matrix, np.random.default_rng(0), lambda _fraction: None)
    with pytest.raises(InvalidInput, match="unknown hyperparameters colour"):
        catalogue.fit(type(recipe)(name, {"colour": 1}), matrix, np.random.default_rng(0), lambda _fraction: None)
