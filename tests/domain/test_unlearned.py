"""Movies that a model has not learned: their scores, their places in lists, and what stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.labels import Label
from cineclub.domain.ratings.log import Movie, UserRatings
from cineclub.domain.ratings.popularity import MICROSECONDS_PER_DAY
from cineclub.domain.ratings.vocabulary import UNKNOWN_YEAR
from cineclub.domain.recommend import live_model, unlearned
from cineclub.domain.recommend.filters import Filters
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend, recommend_similar
from cineclub.domain.recommend.recommendations import RecommendationList
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.domain.recommend.unlearned import PLACES, weighted_newness
from small_models import fitted_model

MODELS = ("ease", "knn", "svd", "slist", "ials", "blend", "combination")
FITTED = {name: fitted_model(name) for name in (*MODELS, "popular")}
DIRECTORS = ("Michael Mann", "Agnès Varda", "黒澤 明")


def learned_movies() -> list[Movie]:
    """Return the twelve movies of the small models, four of each director."""
    return [
        Movie(nth, f"x{nth}", f"Film {nth}", 1990, (), labels=(Label("director", DIRECTORS[place % 3]),))
        for place, nth in enumerate(FITTED["ease"].movie_ids.tolist())
    ]


def new_movie(movie_id: int, director: str, **details: object) -> Movie:
    """Return a movie that no model has learned."""
    label = (Label("director", director),) if director else ()
    return replace(Movie(movie_id, f"new{movie_id}", "New", 2001, (), labels=label), **details)


def live(name: str, *others: Movie, movies: list[Movie] | None = None) -> LiveModel:
    """Return a small model within the catalogue of its movies and some others."""
    own = learned_movies()
    of_catalogue = sorted([*(own if movies is None else movies), *others], key=lambda movie: movie.movie_id)
    model = LiveModel.of(1, FITTED[name], {movie.movie_id: movie for movie in own})
    return model.within(Catalogue.of(of_catalogue, [0.0] * len(of_catalogue)))


def who_likes(*movie_ids: int) -> UserRatings:
    """Return one star of the last learned movie, and then five stars of some."""
    rated = [FITTED["ease"].movie_ids.tolist()[-1], *movie_ids]
    stars = np.array([1, *[5] * len(movie_ids)], np.float32)
    return UserRatings(np.array(rated, np.int64), stars, np.arange(len(rated), dtype=np.int64) + 60_000_000)


def list_of(model: LiveModel, history: UserRatings, top_n: int = 100, **filters: object) -> RecommendationList:
    """Return a list of a model."""
    return recommend(model, RecommendationRequest(top_n, filters=Filters(**filters)), history)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
@given(liked=st.sets(st.sampled_from(FITTED["ease"].movie_ids.tolist()[:-1]), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_the_learned_movies_keep_their_scores_and_their_order(name: str, liked: set[int]) -> None:
    """Without the unlearned ones the list is that of the model alone, whatever the catalogue holds."""
    alone = LiveModel.of(1, FITTED[name], {movie.movie_id: movie for movie in learned_movies()})
    among = live(name, *(new_movie(1000 + nth, director) for nth, director in enumerate((*DIRECTORS, ""))))
    history = who_likes(*sorted(liked))
    own = [(item.movie.movie_id, item.score) for item in list_of(alone, history).recommendations]
    present = [
        (item.movie.movie_id, item.score)
        for item in list_of(among, history).recommendations
        if item.movie.movie_id < 1000
    ]
    assert present == own


@pytest.mark.parametrize("name", MODELS)
def test_an_unlearned_movie_has_the_mean_of_the_scores_of_similar_ones(name: str) -> None:
    """With one director in common, each of the director's movies counts alike."""
    model = live(name, new_movie(1000, DIRECTORS[0], year=None))
    liked = FITTED[name].movie_ids[[0, 3]].tolist()
    recommended = list_of(model, who_likes(*liked), include_seen=True)
    items = {item.movie.movie_id: item for item in recommended.recommendations}
    if recommended.strategy == "popular":  # no base model knows the ratings
        assert recommended.movie_ids[-1] == 1000
        return
    same = [items[movie_id].score for movie_id in FITTED[name].movie_ids[[0, 3, 6, 9]].tolist()]
    new = items[1000]
    assert new.score == pytest.approx(max(np.mean(same), min(item.score for item in items.values())), rel=1e-4)
    if new.similar_to is not None:
        assert new.similar_to.attributes == (("director", DIRECTORS[0]),)
        assert new.predicted_stars is None


def test_the_reasons_of_an_unlearned_movie_are_those_of_the_similar_ones() -> None:
    """They are the rated movies whose ratings raised the scores that it is the mean of."""
    model = live("ease", new_movie(1000, DIRECTORS[0], year=None))
    liked = FITTED["ease"].movie_ids[[0, 3]].tolist()
    items = {item.movie.movie_id: item for item in list_of(model, who_likes(*liked), include_seen=True).recommendations}
    same = [items[movie_id] for movie_id in FITTED["ease"].movie_ids[[0, 3, 6, 9]].tolist()]
    weights: dict[int, float] = {}
    for item in same:
        for reason in item.reasons:
            weights[reason.movie.movie_id] = weights.get(reason.movie.movie_id, 0.0) + reason.weight / len(same)
    actual = {reason.movie.movie_id: reason.weight for reason in items[1000].reasons}
    assert set(actual) <= set(liked)
    for movie_id, weight in actual.items():
        assert weight <= weights[movie_id] + 1e-6  # negative contributions are no reasons, and lower the mean


def test_somebody_without_ratings_gets_no_movie_that_nobody_knows_before_others() -> None:
    """Nothing speaks for it."""
    for name in MODELS:
        model = live(name, new_movie(1000, DIRECTORS[0]))
        assert list_of(model, UserRatings.none()).movie_ids[-1] == 1000


def test_a_rated_movie_that_is_not_learned_does_not_come_back() -> None:
    """Neither does it move the scores."""
    model = live("ease", new_movie(1000, DIRECTORS[0]))
    assert 1000 not in list_of(model, who_likes(5, 1000)).movie_ids
    assert 1000 in list_of(model, who_likes(5, 1000), include_seen=True).movie_ids


@pytest.mark.parametrize("name", [*MODELS, "popular"])
def test_a_withdrawn_movie_is_in_no_list(name: str) -> None:
    """Learned or not, and for nobody; its ratings still speak for others."""
    own = learned_movies()
    own[2] = replace(own[2], is_available=False)
    model = live(name, new_movie(1000, DIRECTORS[0], is_available=False), movies=own)
    for history in (UserRatings.none(), who_likes(own[2].movie_id), who_likes(own[3].movie_id)):
        assert not {own[2].movie_id, 1000} & set(list_of(model, history, include_seen=True).movie_ids)
    before = live(name)
    assert [item.score for item in list_of(model, who_likes(own[2].movie_id)).recommendations] == [
        item.score
        for item in list_of(before, who_likes(own[2].movie_id)).recommendations
        if item.movie.movie_id != own[2].movie_id
    ]


def test_a_movie_that_the_catalogue_has_lost_is_in_no_list() -> None:
    """The model has learned it, and its title is that of before."""
    own = learned_movies()
    model = live("ease", movies=own[1:])
    assert own[0].movie_id not in list_of(model, who_likes(own[3].movie_id)).movie_ids


def test_titles_are_those_of_the_catalogue() -> None:
    """A corrected title shows at once."""
    own = learned_movies()
    own[1] = replace(own[1], title="Corrected")
    titles = {
        item.movie.title for item in list_of(live("ease", movies=own), who_likes(own[3].movie_id)).recommendations
    }
    assert "Corrected" in titles


def test_the_last_of_ten_places_is_for_a_movie_that_is_not_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the lists that explore, and unless one is among them already; shorter lists have no such place."""
    model = live("slist", *(new_movie(1000 + nth, DIRECTORS[nth % 2]) for nth in range(5)))
    history = who_likes(FITTED["slist"].movie_ids[0])
    everything = list_of(model, history).movie_ids
    assert [movie_id >= 1000 for movie_id in everything] == [False] * 10 + [True] * 5
    monkeypatch.setattr(unlearned, "EXPLORING_PART", 0.0)
    usual = list_of(model, history, top_n=PLACES)
    monkeypatch.setattr(unlearned, "EXPLORING_PART", 1.0)
    exploring, short = list_of(model, history, top_n=PLACES), list_of(model, history, top_n=PLACES - 1)
    assert (usual.strategy, usual.movie_ids) == ("model", everything[:PLACES])
    assert exploring.movie_ids[:-1] == everything[: PLACES - 1]
    assert exploring.movie_ids[-1] >= 1000
    assert short.movie_ids == everything[: PLACES - 1]


def test_a_place_is_given_where_the_taste_speaks_for_a_movie(monkeypatch: pytest.MonkeyPatch) -> None:
    """A director whose films are the best of a list has a new film in it; another's new film is not."""
    monkeypatch.setattr(unlearned, "EXPLORING_PART", 0.0)
    ids = FITTED["slist"].movie_ids.tolist()
    scores = {item.movie.movie_id: item.score for item in list_of(live("slist"), who_likes(ids[0])).recommendations}
    best, others = sorted(scores, key=lambda movie_id: -scores[movie_id])[:2], ids
    own = [replace(movie, labels=()) for movie in learned_movies()]
    label = (Label("director", "Claire Denis"),)
    own = [replace(movie, labels=label) if movie.movie_id in best else movie for movie in own]
    worst = min(others, key=lambda movie_id: scores.get(movie_id, np.inf))
    own = [replace(movie, labels=(Label("director", "X"),)) if movie.movie_id == worst else movie for movie in own]
    liked = live("slist", new_movie(1000, "Claire Denis", year=None), new_movie(1001, "X", year=None), movies=own)
    movie_ids = list_of(liked, who_likes(ids[0]), top_n=PLACES).movie_ids
    assert movie_ids[-1] == 1000
    assert 1001 not in movie_ids


def test_one_list_of_twelve_explores() -> None:
    """By the ratings and the day, so that the same request has the same list on one day."""
    histories = [who_likes(*range(1, nth % 40 + 2)) for nth in range(40)]
    moments = [day * MICROSECONDS_PER_DAY + 5 for day in range(100)]
    drawn = [unlearned.is_exploring(history, moment) for history in histories for moment in moments]
    assert 0.06 < np.mean(drawn) < 0.1
    assert drawn[:100] == [unlearned.is_exploring(histories[0], moment + 1000) for moment in moments]


def test_a_movie_of_which_nothing_is_known_follows_those_that_are_similar_to_some() -> None:
    """Also where a filter leaves few learned movies: they come first, then the similar one, then the unknown ones."""
    unknown = [new_movie(1100 + nth, "", year=None) for nth in range(12)]
    model = live("slist", new_movie(1000, DIRECTORS[0]), *unknown)
    learned = learned_movies()[3:6]
    candidates = tuple(movie.external_id for movie in (*learned, new_movie(1000, ""), *unknown))
    history = who_likes(FITTED["slist"].movie_ids[0])
    movie_ids = list_of(model, history, top_n=PLACES, candidate_movie_ids=candidates).movie_ids
    assert set(movie_ids[:3]) == {movie.movie_id for movie in learned}
    assert movie_ids[3] == 1000
    assert set(movie_ids[4:]) <= {movie.movie_id for movie in unknown}


def test_filters_hold_for_movies_that_are_not_learned() -> None:
    """Each is listed where it is the only candidate, and nowhere where it is excluded."""
    model = live("ease", new_movie(1000, DIRECTORS[0]), new_movie(1001, ""))
    history = who_likes(FITTED["ease"].movie_ids[0])
    assert list_of(model, history, candidate_movie_ids=("new1001",)).movie_ids == [1001]
    assert 1000 not in list_of(model, history, exclude_movie_ids=("new1000",)).movie_ids
    assert set(list_of(model, history, year_from=2000).movie_ids) == {1000, 1001}


def test_similar_movies_have_one_that_is_not_learned() -> None:
    """The most similar one by its attributes is in the last of ten places; one of another director is not."""
    model = live("slist", new_movie(1000, DIRECTORS[0]), new_movie(1001, DIRECTORS[1]))
    items = recommend_similar(model, 0, PLACES).recommendations
    assert [item.movie.movie_id for item in items].index(1000) == PLACES - 1
    assert np.isfinite([item.score for item in items]).all()
    assert 1000 not in [item.movie.movie_id for item in recommend_similar(model, 0, PLACES - 1).recommendations]


CHANGED_MOVIES = st.lists(
    st.tuples(st.integers(0, 14), st.sampled_from([*DIRECTORS, ""]), st.booleans()), min_size=1, max_size=4
)


@pytest.mark.parametrize("name", ["slist", "combination", "popular"])
@given(first=CHANGED_MOVIES, second=CHANGED_MOVIES, share=st.sampled_from([0.0, 0.1, 1.0]))
@settings(max_examples=25, deadline=None)
def test_a_model_that_follows_changes_is_one_that_is_made_anew(
    name: str, first: list[tuple[int, str, bool]], second: list[tuple[int, str, bool]], share: float
) -> None:
    """Lists, withdrawn movies and similar ones are the same; the weights differ by the rarity of attributes at most."""
    alone = LiveModel.of(1, FITTED[name], {movie.movie_id: movie for movie in learned_movies()})
    catalogue = Catalogue.of(learned_movies(), [0.0] * 12)
    following = alone.within(catalogue)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_model, "MOST_CHANGED", share)
        for changes in (first, second):
            catalogue = catalogue.with_changes({movie.movie_id: movie for movie in map(changed_movie, changes)})
            following = following.within(catalogue)
    anew = alone.within(catalogue)
    assert following.movie_ids.tolist() == anew.movie_ids.tolist()
    assert following.withdrawn.tolist() == anew.withdrawn.tolist()
    assert following.unlearned.positions.tolist() == anew.unlearned.positions.tolist()
    assert following.unlearned.in_catalogue.tolist() == anew.unlearned.in_catalogue.tolist()
    expected, actual = anew.unlearned.nearest, following.unlearned.nearest
    assert actual.is_similar_to_any.tolist() == expected.is_similar_to_any.tolist()
    np.testing.assert_allclose(actual.weights.sum(axis=1), expected.weights.sum(axis=1), atol=1e-5)


def changed_movie(change: tuple[int, str, bool]) -> Movie:
    """Return a movie of a number with a director: a learned one up to 11, else one that no model has learned."""
    number, director, is_available = change
    labels = (Label("director", director),) if director else ()
    movie = learned_movies()[number] if number < 12 else new_movie(1000 + number, "", year=None)
    return replace(movie, labels=labels, is_available=is_available)


def test_the_weight_of_newness_is_its_mean_in_the_likes() -> None:
    """If the newest are liked, new movies lead; a movie without a year is in the middle."""
    years = np.array([1950, 1990, 2020, UNKNOWN_YEAR], np.int16)
    newest_liked = weighted_newness(years, np.array([0, 0, 5, 9], np.float32), 2021.0)
    oldest_liked = weighted_newness(years, np.array([5, 0, 0, 9], np.float32), 2021.0)
    assert newest_liked[2] > newest_liked[1] > newest_liked[0]
    assert oldest_liked[0] > oldest_liked[1] > oldest_liked[2]
    assert newest_liked[3] == oldest_liked[3] == 0
    assert not weighted_newness(years, np.zeros(4, np.float32), 2021.0).any()


def test_newness_is_made_once_for_the_same_counts() -> None:
    """Requests share it."""
    model = live("ease", new_movie(1000, DIRECTORS[0]))
    crowd = CrowdCounts.empty(0)
    assert model.latest_newness.of(crowd) is model.latest_newness.of(crowd)
    assert not model.latest_newness.of(None).any()
