"""The prediction flow, in the order of its drawing: from a user id to a list of movies with reasons."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import NamedTuple

from cineclub.domain.errors import NotEnoughData, StatementFailed, StorageMismatch, StorageUnavailable
from cineclub.domain.ratings.crowd import CrowdCounts
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.filters import NO_FILTERS
from cineclub.domain.recommend.history_cache import HistoryCache
from cineclub.domain.recommend.impressions import NO_IMPRESSIONS, Impressions
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recent_responses import RecentResponses
from cineclub.domain.recommend.recommend import history_for, recommend, recommend_without_model
from cineclub.domain.recommend.recommendations import PredictionResponse, RecommendationList, ServedResponse
from cineclub.domain.recommend.request import RecommendationRequest, unknown_films
from cineclub.domain.recommend.trends import trending_ids
from cineclub.domain.recommend.visit_cache import VisitCache
from cineclub.domain.training.report import microseconds_of
from cineclub.ports import HistoryReader, ResponseObserver

USERS_AT_ONCE = 100
N_POPULAR = 1000
"""The number of popular movies that filters choose among while there is no model."""


class FollowsFrom(NamedTuple):
    """What a response follows from, beside model and request."""

    user_ratings: UserRatings
    crowd: CrowdCounts | None
    impressions: Impressions = NO_IMPRESSIONS


class PredictionFlow:
    """Recommendations from the ratings that a user has given by now."""

    def __init__(
        self,
        histories: HistoryReader,
        cache: HistoryCache,
        load_model: Callable[[], LiveModel | None],
        observers: Sequence[ResponseObserver],
        count: Callable[[PredictionResponse], None],
        now: Callable[[], datetime],
        crowd: Callable[[], CrowdCounts | None] = lambda: None,
        step_back: float = 0.0,
    ) -> None:
        """Take the inputs of the steps and the receivers of responses.

        Args:
            histories: reads the ratings of users, and the films shown to them.
            cache: the histories read last, for the time that PostgreSQL is away.
            load_model: returns the model in production.
            observers: the log of predictions and the shadow.
            count: counts a response for the metrics.
            now: the clock.
            crowd: returns the crowd's counts; None until they were read.
            step_back: how far films step back that were shown in earlier visits, 0 to 1; 0: never.
        """
        self._histories = histories
        self._cache = cache
        self._load_model = load_model
        self._visits = VisitCache(step_back)
        self._observers = observers
        self._count = count
        self._now = now
        self._crowd = crowd
        self._recent_responses = RecentResponses()

    async def predict(self, request: RecommendationRequest) -> PredictionResponse:
        """Return the recommendations to a user, known or not, or to a person without an account who sends ratings.

        Raises:
            InvalidInput: a rating is off the scale, or no movie has a genre of the filters.
            StatementFailed: the history could not be read, and is not known otherwise.
            StorageUnavailable: PostgreSQL is away and neither a model nor a popular list is in memory.
            NotEnoughData: there is no model and no rating at all.
        """
        started_at = perf_counter()
        n_erased = self._cache.n_erased
        (user_ratings, is_degraded), impressions = await self._known_of(request.user_id)
        may_keep = n_erased == self._cache.n_erased  # else the user may have been erased during the read
        follows = FollowsFrom(user_ratings, self._crowd(), impressions)
        response = await self._respond(self.load_model(), request, follows, degraded=is_degraded, may_keep=may_keep)
        seconds = perf_counter() - started_at
        served = ServedResponse(request, user_ratings, response, self._now(), seconds, follows.crowd, impressions)
        self.log_prediction(served)
        return response

    async def predict_many(self, requests: Sequence[RecommendationRequest]) -> AsyncIterator[PredictionResponse]:
        """Yield the responses to many requests for users, in their order, all from one model and context.

        Other requests go on after each response. Histories are read for some users at a time, so that memory does not
        grow with the number of requests. Nothing is logged, as these movies are not shown yet, and no film
        steps back.

        Raises:
            InvalidInput: no movie has a genre of the filters.
            StatementFailed: the histories could not be read.
            StorageUnavailable: PostgreSQL is away and neither a model nor a popular list is in memory.
            NotEnoughData: there is no model and no rating at all.
        """
        model, crowd = self.load_model(), self._crowd()
        for begin in range(0, len(requests), USERS_AT_ONCE):
            some = requests[begin : begin + USERS_AT_ONCE]
            user_ids = [request.user_id for request in some if request.user_id is not None]
            histories, is_degraded = await self._histories_of(user_ids)
            for request in some:
                user_ratings = histories.get(request.user_id or "", UserRatings.none())
                yield await self._respond(model, request, FollowsFrom(user_ratings, crowd), degraded=is_degraded)
                await asyncio.sleep(0)

    def forget(self, user_id: str) -> None:
        """Drop everything about an erased user from memory: history, visit, recommendations, responses to be logged."""
        self._cache.erase(user_id)
        self._visits.forget(user_id)
        self._recent_responses.forget(user_id)
        for observer in self._observers:
            observer.forget(user_id)

    def load_model(self) -> LiveModel | None:
        """Return the model in production as it was loaded last; None before the first promotion."""
        return self._load_model()

    def log_prediction(self, served: ServedResponse) -> None:
        """Count a response and pass it to the log and the other observers, none of which waits."""
        self._count(served.response)
        self._visits.responded(served.request.user_id, microseconds_of(served.served_at))
        for observer in self._observers:
            observer.observe(served)

    async def _respond(
        self,
        model: LiveModel | None,
        request: RecommendationRequest,
        follows: FollowsFrom,
        *,
        degraded: bool,
        may_keep: bool = False,
    ) -> PredictionResponse:
        """Return the response of a model, or of popular movies without one, from the ratings of the user."""
        if model is None:
            recommendations = await self._recommend_without_model(request, follows)
        else:
            recommendations = self._recommend(model, request, follows, may_keep=may_keep)
        name, version = (model.fitted.recipe.model, model.version) if model else (None, None)
        n_own = len(model.fitted.movie_ids) if model else 0
        return PredictionResponse(
            recommendation_id=_recommendation_id(self._now()),
            user_id=request.user_id,
            degraded=degraded,
            model_name=name,
            model_version=version,
            recommendation_list=recommendations,
            unknown_films=unknown_films(model.vocabulary, n_own, request.ratings) if model else (),
        )

    def _recommend(
        self, model: LiveModel, request: RecommendationRequest, follows: FollowsFrom, *, may_keep: bool
    ) -> RecommendationList:
        """Return the recommendations of the model, from memory where they would be the same again."""
        user_ratings, crowd, impressions = follows
        is_dated = crowd is not None and (request.fresh > 0 or model.follows_crowd)
        epoch = crowd.epoch if crowd is not None and is_dated else 0
        recalled = self._recent_responses.recall(request, user_ratings, model, epoch, impressions)
        if recalled is not None:
            return recalled
        history = history_for(model, request, user_ratings, self._now())
        recommendations = recommend(model, request, history, crowd, impressions)
        if may_keep:
            self._recent_responses.remember(request, user_ratings, model, recommendations, epoch, impressions)
        return recommendations

    async def _recommend_without_model(
        self, request: RecommendationRequest, follows: FollowsFrom
    ) -> RecommendationList:
        """Return the most popular movies as PostgreSQL counts them, and those of the trend for a fresh list."""
        n_seen = len(follows.user_ratings) + len(request.ratings)
        is_plain = request.filters == NO_FILTERS and not request.fresh and not len(follows.impressions)
        n_popular = request.top_n + n_seen if is_plain else N_POPULAR
        trending = trending_ids(follows.crowd, N_POPULAR) if request.fresh and follows.crowd is not None else []
        popular = await self._histories.popular(n_popular, trending)
        if not popular:
            message = "there are no ratings and no model yet: import ratings with `cineclub import`, then train"
            raise NotEnoughData(message)
        return recommend_without_model(popular, request, *follows)

    async def _known_of(self, user_id: str | None) -> tuple[tuple[UserRatings, bool], Impressions]:
        """Return the history of a user, whether it is a last known one, and the films that step back."""
        impressions = self._visits.current(user_id, microseconds_of(self._now()))
        if impressions is not None or user_id is None:
            return await self._history_of(user_id), impressions or NO_IMPRESSIONS
        return await asyncio.gather(self._history_of(user_id), self._impressions_of(user_id))

    async def _impressions_of(self, user_id: str) -> Impressions:
        """Return the films that step back in a visit that begins; without PostgreSQL those of the last visit."""
        n_erased = self._visits.n_erased
        try:
            shown = await self._histories.shown_to(user_id)
        except StorageUnavailable:
            return self._visits.last_known(user_id)
        return self._visits.begin(user_id, microseconds_of(self._now()), shown, n_erased)

    async def _history_of(self, user_id: str | None) -> tuple[UserRatings, bool]:
        """Return the ratings of a user, and whether they are the last known ones because PostgreSQL is away."""
        if user_id is None:
            return UserRatings.none(), False
        try:
            return await self._histories.ratings_of(user_id), False
        except StatementFailed as error:  # PostgreSQL is there: no list that may hold movies rated since the last read
            unchanged = self._cache.last_unchanged(user_id)
            if unchanged is None or isinstance(error, StorageMismatch):  # that one does not pass by itself
                raise
            return unchanged, True
        except StorageUnavailable:
            return self._cache.last_known(user_id) or UserRatings.none(), True

    async def _histories_of(self, user_ids: Sequence[str]) -> tuple[Mapping[str, UserRatings], bool]:
        """Return the ratings of users, and whether they are the last known ones because PostgreSQL is away."""
        try:
            return await self._histories.ratings_of_many(user_ids), False
        except StatementFailed:
            raise
        except StorageUnavailable:
            last_known = {user_id: self._cache.last_known(user_id) for user_id in user_ids}
            return {user_id: ratings for user_id, ratings in last_known.items() if ratings is not None}, True


def _recommendation_id(now: datetime) -> str:
    """Return a UUID of version 7: it rises with time, so the log's primary key grows at its end."""
    random_bits = int.from_bytes(secrets.token_bytes(10))
    milliseconds = int(now.timestamp() * 1000)
    bits = milliseconds << 80 | 7 << 76 | (random_bits >> 62 & 0xFFF) << 64 | 2 << 62 | random_bits & (1 << 62) - 1
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
