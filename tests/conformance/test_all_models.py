"""What holds for every model of the catalogue, on any ratings."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rating_worlds import SCALES, TOP, degenerate_worlds, everybody_in, fitted_on, log_of, worlds

from cineclub.domain.cold_start import answer, is_new_user, scores_of_many
from cineclub.domain.errors import BrokenArtifact, InvalidInput, TrainingCancelled
from cineclub.domain.evaluation import judge
from cineclub.domain.matrix import RatingMatrix
from cineclub.domain.ranking import rank_movies
from cineclub.domain.ratings import RatingLog, UserRatings
from cineclub.domain.recommender import FittedModel, History, PredictsStars
from cineclub.domain.splitting import split_last_out
from cineclub.models import catalogue
from cineclub.models.catalogue import CATALOGUE

MODELS = sorted(CATALOGUE)
every_model = pytest.mark.parametrize("name", MODELS)
few_examples = settings(max_examples=15, deadline=None)


def bytes_of(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Arrays as values that compare."""
    return {name: (str(array.dtype), array.shape, array.tobytes()) for name, array in arrays.items()}


def stored_and_loaded(array: np.ndarray) -> np.ndarray:
    """An array after a way through a file, not writable, as a mapped one is."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    file.seek(0)
    loaded = np.load(file, allow_pickle=False)
    loaded.setflags(write=False)
    return loaded


def restored(fitted: FittedModel, arrays: Mapping[str, np.ndarray]) -> FittedModel:
    """The model that the catalogue makes of arrays."""
    return catalogue.restore(fitted.recipe, arrays, fitted.movie_ids, fitted.popularity, fitted.scale)


@every_model
@few_examples
@given(log=worlds(), top_n=st.integers(1, 12))
def test_rated_films_never_come_back(name: str, log: RatingLog, top_n: int) -> None:
    """A list holds no rated film, none twice, and is as long as asked for or as there are films left."""
    fitted = fitted_on(name, log)
    for person in everybody_in(log):
        answered = answer(fitted, person)
        listed = fitted.movie_ids[rank_movies(answered.scores, answered.history.movie_indices, top_n)]
        assert not np.isin(listed, person.movie_ids).any()
        assert len(set(listed.tolist())) == len(listed) == min(top_n, len(fitted.movie_ids) - len(person))


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
    """Two fits from one seed are equal, and neither changes what it learns from."""
    before = bytes_of({"ratings": log.ratings, "movies": log.movie_ids})
    one, other = (bytes_of(fitted_on(name, log, seed).recommender.arrays()) for _ in range(2))
    assert one == other
    assert bytes_of({"ratings": log.ratings, "movies": log.movie_ids}) == before


@every_model
@few_examples
@given(log=worlds())
def test_a_stored_model_answers_the_same_bytes(name: str, log: RatingLog) -> None:
    """Arrays that went through files without pickle, and cannot be written, give the same answers."""
    fitted = fitted_on(name, log)
    arrays = {label: stored_and_loaded(array) for label, array in fitted.recommender.arrays().items()}
    loaded = restored(fitted, arrays)
    assert bytes_of(loaded.recommender.arrays()) == bytes_of(fitted.recommender.arrays())
    for person in everybody_in(log):
        assert answer(loaded, person).scores.tobytes() == answer(fitted, person).scores.tobytes()


@every_model
@few_examples
@given(log=worlds())
def test_many_people_at_once_are_answered_as_one_by_one(name: str, log: RatingLog) -> None:
    """Scores in a batch are those of single answers but for the last digits, newcomers among them."""
    fitted = fitted_on(name, log)
    people = everybody_in(log)
    batch = scores_of_many(fitted, [History.of(person, fitted.movie_ids) for person in people])
    single = np.array([answer(fitted, person).scores for person in people])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, single, atol=1e-4 * (log.scale.highest - log.scale.lowest))


@every_model
@few_examples
@given(log=worlds())
def test_films_the_model_does_not_know_are_ignored(name: str, log: RatingLog) -> None:
    """Ratings of unknown films, below, between and above the known ids, change no answer."""
    fitted = fitted_on(name, log)
    unknown = np.array([1, 8, 10_000], np.int64)
    for person in everybody_in(log):
        more = UserRatings(
            np.concatenate((unknown, person.movie_ids)),
            np.concatenate((np.full(3, log.scale.highest, np.float32), person.ratings)),
            np.concatenate((np.zeros(3, np.int64), person.rated_at)),
        )
        assert answer(fitted, more).scores.tobytes() == answer(fitted, person).scores.tobytes()


@every_model
@few_examples
@given(log=worlds())
def test_a_model_says_truly_which_ratings_it_uses(name: str, log: RatingLog) -> None:
    """Without the ratings that a model does not use, its scores are the same; without any, the user is new."""
    fitted = fitted_on(name, log)
    model = fitted.recommender
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        used = model.uses(history)
        only_used = History(history.movie_indices[used], history.ratings[used], history.rated_at[used])
        assert used.shape == (len(history),)
        assert model.scores(only_used).tobytes() == model.scores(history).tobytes()
        assert is_new_user(fitted, history) == (model.is_personal and not used.any())


@every_model
@few_examples
@given(log=worlds())
def test_reasons_add_up_to_what_the_history_changed(name: str, log: RatingLog) -> None:
    """The contributions of all ratings sum to the score less the score of somebody without a history."""
    fitted = fitted_on(name, log)
    model = fitted.recommender
    nothing = History.of(UserRatings.none(), fitted.movie_ids)
    everything = np.arange(len(fitted.movie_ids), dtype=np.int32)
    tolerance = 1e-4 * (log.scale.highest - log.scale.lowest)
    for person in everybody_in(log):
        history = History.of(person, fitted.movie_ids)
        moved = model.scores(history) - model.scores(nothing)
        reading = model.read(history)
        assert reading.scores.tobytes() == model.scores(history).tobytes()
        assert reading.is_used.tolist() == model.uses(history).tolist()
        reasons = reading.explain(everything[::-1])[::-1]
        assert reasons.shape == (len(everything), len(history))
        assert reasons.dtype == np.float32
        assert np.abs(reasons.sum(axis=1) - moved).max() < tolerance
        assert not reasons[:, ~reading.is_used].any()
        alone = [reading.explain(everything[at : at + 1])[0] for at in everything]
        assert np.allclose(reasons, np.array(alone).reshape(reasons.shape), atol=tolerance)
        assert reading.explain(everything[:0]).shape == (0, len(history))


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
    """Whatever was rated, no score is NaN or infinite, and predicted stars are possible ratings."""
    assert_sane(fitted_on(name, log), log)


@every_model
@pytest.mark.parametrize("oddity", sorted(degenerate_worlds()))
def test_degenerate_ratings_are_survived(name: str, oddity: str) -> None:
    """One film, one user, no variance, no likes, or another scale never give NaN."""
    log = degenerate_worlds()[oddity]
    assert_sane(fitted_on(name, log), log)


@every_model
def test_people_with_the_highest_ids_are_judged(name: str) -> None:
    """Nothing is computed with ids that could overflow: whoever liked a listed film is a hit."""
    split = split_last_out(degenerate_worlds()["ids near 2**63"], 0.3)
    judgement = judge(fitted_on(name, split.fit), split.window, 8)
    assert judgement.n_judged > 0
    assert (judgement.recommended <= TOP).all()
    assert (judgement.per_user["recall"][judgement.is_judged] == 1).all()  # a list of every unseen film misses nothing


@every_model
def test_ratings_that_are_none_are_refused_before_any_fit(name: str) -> None:
    """NaN and a second rating of the same film by the same person are named, whichever model was asked for."""
    with pytest.raises(InvalidInput, match="finite"):
        fitted_on(name, log_of([(1, 1, float("nan"), 0), (1, 2, 3.0, 1)], SCALES[0]))
    with pytest.raises(InvalidInput, match="user 1 rated film 2 more than once"):
        fitted_on(name, log_of([(1, 2, 4.0, 0), (1, 1, 3.0, 1), (1, 2, 3.0, 2)], SCALES[0]))


@every_model
def test_a_broken_artifact_is_refused(name: str) -> None:
    """An array that is missing, of another dtype or of other dimensions is named."""
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
    """A model does not answer for films that it was not fitted on."""
    worlds_by_oddity = degenerate_worlds()
    fitted, other = (fitted_on(name, worlds_by_oddity[oddity]) for oddity in ("0 to 10", "one user"))
    with pytest.raises(BrokenArtifact, match="films"):
        restored(fitted, other.recommender.arrays())


@every_model
def test_progress_rises_to_one_and_can_stop_the_fit(name: str) -> None:
    """Whoever waits sees the fraction rise from 0 to 1; whoever cancels is obeyed at the next report."""
    matrix = RatingMatrix.from_log(degenerate_worlds()["0 to 10"])
    recipe, fractions = catalogue.default_recipe(name), []
    catalogue.fit(recipe, matrix, np.random.default_rng(0), fractions.append)
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)

    def cancel(fraction: float) -> None:
        """Cancel once something is done."""
        if fraction > 0:
            raise TrainingCancelled

    with pytest.raises(TrainingCancelled):
        catalogue.fit(recipe, matrix, np.random.default_rng(0), cancel)


@every_model
def test_a_hyperparameter_outside_its_range_is_refused_by_name(name: str) -> None:
    """The message names the hyperparameter and what it may be; an unknown one is refused with those there are."""
    matrix = RatingMatrix.from_log(degenerate_worlds()["0 to 10"])
    recipe = catalogue.default_recipe(name)
    for label in recipe.hyperparameters:
        for value in (-1, float("nan"), float("inf"), "many", True):
            wrong = type(recipe)(name, {**recipe.hyperparameters, label: value})
            with pytest.raises(InvalidInput, match=f"{label} must be (a .*number from|one of)"):
                catalogue.fit(wrong, matrix, np.random.default_rng(0), lambda _fraction: None)
    with pytest.raises(InvalidInput, match="unknown hyperparameters colour"):
        catalogue.fit(type(recipe)(name, {"colour": 1}), matrix, np.random.default_rng(0), lambda _fraction: None)
