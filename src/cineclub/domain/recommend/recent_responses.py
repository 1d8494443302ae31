"""A bounded cache of the last recommendations, valid while all that they follow from is the same."""

from collections import OrderedDict
from dataclasses import dataclass
from weakref import ref

from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend.impressions import NO_IMPRESSIONS, Impressions
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommendations import RecommendationList
from cineclub.domain.recommend.request import RecommendationRequest

MAX_MOVIES = 20_000
RATINGS_PER_MOVIE = 25
"""The number of ratings of a history that take about the memory of one recommended movie with its reasons."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Recommendations with all that they follow from beside the model; ``epoch`` is that of the crowd's counts."""

    request: RecommendationRequest
    user_ratings: UserRatings
    epoch: int
    impressions: Impressions
    recommendations: RecommendationList

    @property
    def size(self) -> int:
        """Its memory, in recommended movies."""
        return max(1, len(self.recommendations.recommendations)) + len(self.user_ratings) // RATINGS_PER_MOVIE


class RecentResponses:
    """The last recommendations to each of the users seen last; the least recently used are dropped first.

    Recommendations follow from request, history, model, the crowd's counts and impressions alone. Of the counts the
    epoch is compared. Request and history are compared by value, so that a history which is read anew each time is
    enough; model and impressions must be the very same objects. The cache holds the recommendations of one model, and
    the model only weakly: a former one leaves the memory at once.
    """

    def __init__(self, max_movies: int = MAX_MOVIES) -> None:
        """Start empty; ``max_movies`` bounds the size of all entries together."""
        self._by_user: OrderedDict[str, _Entry] = OrderedDict()
        self._model: ref[LiveModel] | None = None
        self._max_movies = max_movies
        self._size = 0

    def recall(
        self,
        request: RecommendationRequest,
        user_ratings: UserRatings,
        model: LiveModel,
        epoch: int = 0,
        impressions: Impressions = NO_IMPRESSIONS,
    ) -> RecommendationList | None:
        """Return the last recommendations to a user if all that they follow from is the same, else None."""
        entry = self._by_user.get(request.user_id or "")
        if entry is None or not self._is_of(model) or (entry.request, entry.epoch) != (request, epoch):
            return None
        if entry.impressions is not impressions or not entry.user_ratings.is_same_as(user_ratings):
            return None
        self._by_user.move_to_end(request.user_id or "")
        return entry.recommendations

    def remember(
        self,
        request: RecommendationRequest,
        user_ratings: UserRatings,
        model: LiveModel,
        recommendations: RecommendationList,
        epoch: int = 0,
        impressions: Impressions = NO_IMPRESSIONS,
    ) -> None:
        """Keep recommendations to a user in place of the former ones, and drop others where there is no room."""
        if request.user_id is None:
            return
        if not self._is_of(model):
            self._by_user.clear()
            self._model, self._size = ref(model), 0
        self.forget(request.user_id)
        self._by_user[request.user_id] = entry = _Entry(request, user_ratings, epoch, impressions, recommendations)
        self._size += entry.size
        while self._size > self._max_movies:
            _, oldest = self._by_user.popitem(last=False)
            self._size -= oldest.size

    def forget(self, user_id: str) -> None:
        """Drop a user."""
        entry = self._by_user.pop(user_id, None)
        self._size -= 0 if entry is None else entry.size

    def _is_of(self, model: LiveModel) -> bool:
        """Return whether the entries are of this model."""
        return self._model is not None and self._model() is model

    def __len__(self) -> int:
        """Return the number of users in the cache."""
        return len(self._by_user)
