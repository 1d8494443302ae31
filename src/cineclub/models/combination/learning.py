"""Learning the weights of the combination: likes after a cut, each among candidates, from models fitted before it.

The weights are learned with base models that were fitted before the likes, as the served ones are fitted before the
requests: scores of movies that a model has seen the user like are higher than those that it will serve.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.prequential import SampleSize, walk_from
from cineclub.domain.evaluation.progress import span_of
from cineclub.domain.evaluation.splitting import split_last_out, start_of_newest
from cineclub.domain.ratings.crowd import GRANULE_MICROSECONDS, CountedLikes, CrowdCounts, positions_in
from cineclub.domain.ratings.filtering import Extent
from cineclub.domain.ratings.log import RatingLog
from cineclub.domain.recommend.batch_ranking import NO_MOVIE, write_best
from cineclub.domain.recommend.context import Context
from cineclub.domain.recommend.recommender import History, Progress
from cineclub.models.combination.bases import BaseModels
from cineclub.models.combination.features import (
    BASES,
    FEATURES,
    NEVER,
    OF_BASES,
    OF_MOVIES,
    OF_PERSONS,
    SHAPES,
    ContextFeatures,
    MovieFigures,
    Standard,
    candidate_features,
    has_history,
    person_values,
)

SHARE_OF_NEWEST = 0.11
"""The newest part of the ratings that weights are learned on: a tenth of them and those that are judged later."""

SHARE_OF_LAST = 0.2

SAMPLE = SampleSize(users=20_000, ratings_per_user=50, ratings=20_000)
LIKES_PER_BLOCK = 128
N_BEST_BY_FEATURE = {"trend_1": 50, "trend_3": 40, "trend_7": 40, "trend_14": 25, "trend_30": 25, "trend_90": 20}
N_BEST_OF_ALL_TIME = 40
N_BEST_BY_BASE = (50, 20)
N_RANDOM = 20
"""Movies with a rating before the likes, drawn for each context: none that no source leads to is overrated."""

MOST_CANDIDATES = sum(N_BEST_BY_FEATURE.values()) + N_BEST_OF_ALL_TIME + sum(N_BEST_BY_BASE) + N_RANDOM
BYTES_OF_EVENT = 600
"""Of the objects of an event, beside the features of its candidates."""

SHARE_BY_PERSON = 0.5
"""Half of the weight of the events is the same for every person, half the same for every like."""


@dataclass(frozen=True, slots=True)
class Event:
    """One like with its candidates.

    Attributes:
        user_id: who liked.
        chosen: the place of the liked movie among the candidates.
        of_movies: (len(OF_MOVIES), n) features of the candidates.
        of_bases: (len(OF_BASES), n) likewise.
        values: (len(OF_PERSONS),) values of the person, not standardized.
    """

    user_id: int
    chosen: int
    of_movies: NDArray[np.float32]
    of_bases: NDArray[np.float32]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Events and the base models that their features come from.

    Attributes:
        events: likes with a candidate list that holds the liked movie, in the order of time.
        first_base: the place of the first base model among ``BASES``.
    """

    events: list[Event]
    first_base: int

    @property
    def standard(self) -> Standard:
        """The means and deviations of the persons' values."""
        return Standard.of(self._values)

    @property
    def _values(self) -> NDArray[np.float64]:
        """The values of each event's person, shape (n_events, len(OF_PERSONS))."""
        return np.array([event.values for event in self.events]).reshape(-1, len(OF_PERSONS))

    @property
    def starts(self) -> NDArray[np.int64]:
        """The start of each event's candidates, shape (n_events + 1,)."""
        return np.concatenate(([0], np.cumsum([event.of_movies.shape[1] for event in self.events]))).astype(np.int64)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """The row of each chosen candidate, shape (n_events,)."""
        return self.starts[:-1] + np.array([event.chosen for event in self.events], np.int64)

    @property
    def has_history(self) -> NDArray[np.bool_]:
        """Whether the person of each event had a rating that counts, shape (n_events,)."""
        return has_history(self._values)

    @property
    def event_weights(self) -> NDArray[np.float64]:
        """The weight of each event, shape (n_events,); their sum is the number of events."""
        n_events = len(self.events)
        _, people, counts = np.unique([event.user_id for event in self.events], return_inverse=True, return_counts=True)
        by_person = n_events / (len(counts) * counts[people])
        weights: NDArray[np.float64] = SHARE_BY_PERSON * by_person + (1 - SHARE_BY_PERSON)
        return weights

    def features(self, standard: Standard) -> NDArray[np.float32]:
        """Return the features of all candidates, shape (n_candidates, len(FEATURES))."""
        starts = self.starts
        features = np.empty((int(starts[-1]), len(FEATURES)), np.float32)
        for nth, event in enumerate(self.events):
            features[starts[nth] : starts[nth + 1]] = candidate_features(
                event.of_movies, event.of_bases, self.first_base, standard.standardized(event.values)
            )
        return features


@dataclass(frozen=True, slots=True)
class Like:
    """A like to learn from, with what was known before it."""

    user_id: int
    movie: int
    history: History
    context: Context


def newest_likes(log: RatingLog, rng: np.random.Generator) -> tuple[RatingLog, "Likes"]:
    """Return the ratings before the newest ones, and the likes among the newest, each known from its moment on."""
    cut = start_of_newest(log, SHARE_OF_NEWEST)
    split = walk_from(log, cut)
    window, movie_ids = split.window, np.union1d(split.window.movie_ids, split.window.new_movie_ids)
    liked = window.is_ranked
    window = replace(window, rows=window.rows[liked], starts=window.starts[liked], ends=window.ends[liked])
    window = window.sampled(SAMPLE, rng)

    def likes() -> Iterator[Like]:
        contexts = window.contexts_of(movie_ids, np.arange(len(window)))
        movies = np.searchsorted(movie_ids, window.held_out.movie_ids).tolist()
        users = window.user_ids.tolist()
        for row, context in enumerate(contexts):
            yield Like(users[row], movies[row], History.of(window.known_of(row), movie_ids), context)

    return split.fit, Likes(len(window), movie_ids, likes)


def last_likes(log: RatingLog, rng: np.random.Generator) -> tuple[RatingLog, "Likes"]:
    """Return the ratings without the last of each user, and the likes among these, all in the context at the end."""
    split = split_last_out(log, SHARE_OF_LAST)
    window = split.window.sampled(SAMPLE.users, rng)
    least, movie_ids = log.scale.relevance_threshold, window.movie_ids
    known = CountedLikes.of(split.fit)
    counts = CrowdCounts.of(known, known.plausible_end() + GRANULE_MICROSECONDS)
    context = Context.of(counts, movie_ids)

    def likes() -> Iterator[Like]:
        for row, user_id in enumerate(window.user_ids.tolist()):
            history, held_out = History.of(window.known_of(row), movie_ids), window.held_out_of(row)
            liked = held_out.movie_ids[held_out.ratings >= least]
            movies, is_known = positions_in(movie_ids, liked)
            for movie in movies[is_known][: SAMPLE.ratings_per_user].tolist():
                yield Like(user_id, movie, history, context)

    return split.fit, Likes(int(np.count_nonzero(window.held_out.ratings >= least)), movie_ids, likes)


@dataclass(frozen=True, slots=True)
class Likes:
    """Likes to learn from: about how many, the vocabulary, and the likes themselves.

    A movie that nobody has rated yet is no candidate, because one in these ratings is about to be rated.
    """

    n_likes: int
    movie_ids: NDArray[np.int64]
    each: Callable[[], Iterator[Like]]


CUTS = {"newest": newest_likes, "last-out": last_likes}
"""The ways to divide ratings into those of the base models and likes after them."""


def needed_bytes_of_lesson(cut: str, extent: Extent) -> int:
    """Return the approximate memory in bytes of the events of a log, and of the scores of one block of likes.

    The candidates are counted half: sources overlap, and about half of the likes are among their candidates.
    """
    share, most = (SHARE_OF_NEWEST, SAMPLE.ratings)
    if cut == "last-out":
        share, most = SHARE_OF_LAST, SAMPLE.users * SAMPLE.ratings_per_user
    n_events = min(most, int(share * extent.n_ratings) + 1)
    n_candidates = min(extent.n_movies, MOST_CANDIDATES // 2)
    of_candidate = 4 * (2 * len(OF_MOVIES) + len(OF_BASES) + len(FEATURES))
    of_block = 4 * min(LIKES_PER_BLOCK, n_events) * (len(OF_BASES) + len(BASES)) * extent.n_movies
    return n_events * (n_candidates * of_candidate + BYTES_OF_EVENT) + of_block


def lesson_of(
    log: RatingLog,
    cut: str,
    min_ratings: int,
    rng: np.random.Generator,
    progress: Progress,
) -> Lesson:
    """Return what the later likes of a log teach, with base models of the ratings before them.

    Args:
        log: all ratings.
        cut: a name of ``CUTS``.
        min_ratings: base models leave out users and movies with fewer.
        rng: of the base models and the samples.
        progress: receives the finished fraction.
    """
    before, likes = CUTS[cut](log, rng)
    movie_ids = likes.movie_ids
    bases = BaseModels.fit(before, movie_ids, min_ratings, rng, span_of(progress, 0.0, 0.7))
    places = np.searchsorted(movie_ids, before.movie_ids).astype(np.int32)
    figures = MovieFigures.of(places, before.ratings, before.rated_at, log.scale, len(movie_ids))
    return Lesson(list(_events(likes, bases, figures, rng, span_of(progress, 0.7, 1.0))), bases.first)


def _events(
    likes: Likes, bases: BaseModels, figures: MovieFigures, rng: np.random.Generator, progress: Progress
) -> Iterator[Event]:
    """Yield the events of the likes whose candidates hold the liked movie."""
    trends: Trends | None = None
    remaining, n_done = likes.each(), 0
    while block := list(islice(remaining, LIKES_PER_BLOCK)):
        of_bases = bases.features_of_many([like.history for like in block])
        best_of_bases = [
            best_of_rows(of_bases[:, len(SHAPES) * place], n_best) for place, n_best in enumerate(N_BEST_BY_BASE)
        ]
        for like, of_like, *best in zip(block, of_bases, *best_of_bases, strict=True):
            if trends is None or trends.features.context is not like.context:
                trends = Trends.of(figures, like.context, rng)
            candidates = trends.candidates(like.history, bases.movies[np.concatenate(best)])
            chosen = int(np.searchsorted(candidates, like.movie))
            if chosen < len(candidates) and candidates[chosen] == like.movie:
                yield Event(
                    like.user_id,
                    chosen,
                    trends.features.at(candidates),
                    bases.features_at(of_like, candidates),
                    person_values(bases.usable(like.history), figures, like.context),
                )
        n_done += len(block)
        progress(min(n_done / likes.n_likes, 1.0))


@dataclass(frozen=True, slots=True)
class Trends:
    """A context with what does not depend on the person.

    Attributes:
        features: of the movies in the context.
        best: (n,) rising positions of the movies that lead by any count, and of a few drawn ones.
    """

    features: ContextFeatures
    best: NDArray[np.int64]

    @classmethod
    def of(cls, figures: MovieFigures, context: Context, rng: np.random.Generator) -> "Trends":
        """Return the features and the leading movies of a context; those without any like lead nothing."""
        sources = np.concatenate((context.counts, figures.log_likes[None]))
        numbers = (*N_BEST_BY_FEATURE.values(), N_BEST_OF_ALL_TIME)
        best = [places[:n] for places, n in zip(best_of_rows(sources, max(numbers)), numbers, strict=True)]
        rated = np.flatnonzero(figures.first_rated_at != NEVER)
        best.append(rng.choice(rated, size=min(N_RANDOM, len(rated))))
        return cls(ContextFeatures.of(figures, context), np.unique(np.concatenate(best)))

    def candidates(self, history: History, best_of_bases: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the rising positions of the movies that any source puts in front, without the rated ones."""
        return np.setdiff1d(np.concatenate((self.best, best_of_bases)), history.movie_indices)


def best_of_rows(values: NDArray[np.float32], n_best: int) -> list[NDArray[np.int32]]:
    """Return the positions of the ``n_best`` highest values above 0 of each row, best first, the first of equal ones.

    ``values`` has the shape (n_rows, n).
    """
    lists = np.full((len(values), n_best), NO_MOVIE, np.int32)
    write_best(np.where(values > 0, values, np.float32(-np.inf)), lists)
    return [places[places != NO_MOVIE] for places in lists]
