"""The visits of users: what was shown to them before, read once a visit and then kept in memory."""

from collections import OrderedDict
from dataclasses import dataclass

from cineclub.domain.recommend.impressions import NO_IMPRESSIONS, Impressions, ShownMovies, Visit

MAX_USERS = 10_000
MAX_MOVIES = 1_000_000
"""The films of all users together, 16 bytes each."""


@dataclass(slots=True)
class _KnownVisit:
    """The visit of a user as this process knows it; times in microseconds since 1970-01-01 UTC."""

    visit: Visit
    last_response_at: int

    @property
    def n_movies(self) -> int:
        """Its memory, in films."""
        return len(self.visit.impressions)


class VisitCache:
    """The visits that go on, each with the films that step back.

    The shown films are read when a visit begins, and do not change while it goes on. Responses of other processes are
    known when this one reads next: at its first request of a visit. The users seen longest ago are dropped first.

    Attributes:
        n_erased: the number of erased users so far; what was read during an erasure must not be kept.
    """

    def __init__(self, step_back: float, max_users: int = MAX_USERS, max_movies: int = MAX_MOVIES) -> None:
        """Start empty.

        Args:
            step_back: how far films step back, 0 to 1; 0: never, and nothing is to be read.
            max_users: the bound of users.
            max_movies: the bound of the films of all of them.
        """
        self._step_back = step_back
        self._max_users = max_users
        self._max_movies = max_movies
        self._by_user: OrderedDict[str, _KnownVisit] = OrderedDict()
        self._n_movies = 0
        self.n_erased = 0

    def current(self, user_id: str | None, moment: int) -> Impressions | None:
        """Return the films that step back in the visit of a moment; None where the shown films are to be read."""
        if user_id is None or not self._step_back:
            return NO_IMPRESSIONS
        known = self._by_user.get(user_id)
        if known is None or not known.visit.goes_on(known.last_response_at, moment):
            return None
        return known.visit.impressions

    def last_known(self, user_id: str) -> Impressions:
        """Return the films that stepped back in the last visit in memory; none without one."""
        known = self._by_user.get(user_id)
        return NO_IMPRESSIONS if known is None else known.visit.impressions

    def begin(self, user_id: str, moment: int, shown: ShownMovies, n_erased: int) -> Impressions:
        """Return the films that step back in the visit of a moment, and keep the visit.

        Args:
            user_id: the user.
            moment: the time of the request.
            shown: the films shown before, as they were read.
            n_erased: ``n_erased`` before the read; the visit is not kept if a user was erased since.
        """
        visit = Visit.at(moment, shown, self._step_back)
        if n_erased == self.n_erased:
            self._drop(user_id)
            self._by_user[user_id] = known = _KnownVisit(visit, moment)
            self._n_movies += known.n_movies
            while len(self._by_user) > self._max_users or self._n_movies > self._max_movies:
                self._drop(next(iter(self._by_user)))
        return visit.impressions

    def responded(self, user_id: str | None, moment: int) -> None:
        """Note a response, with which the visit goes on."""
        known = self._by_user.get(user_id or "")
        if known is not None and known.visit.goes_on(known.last_response_at, moment):
            known.last_response_at = max(known.last_response_at, moment)
            self._by_user.move_to_end(user_id or "")

    def forget(self, user_id: str) -> None:
        """Drop a user who is erased, and the reads of this moment."""
        self.n_erased += 1
        self._drop(user_id)

    def _drop(self, user_id: str) -> None:
        """Drop a user."""
        known = self._by_user.pop(user_id, None)
        self._n_movies -= 0 if known is None else known.n_movies

    def __len__(self) -> int:
        """Return the number of users in memory."""
        return len(self._by_user)
