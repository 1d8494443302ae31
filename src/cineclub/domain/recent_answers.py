"""A bounded memory of the films listed last, good for as long as all that they were chosen from is the same."""

from collections import OrderedDict
from dataclasses import dataclass
from weakref import ref

from cineclub.domain.questions import Question
from cineclub.domain.ratings import UserRatings
from cineclub.domain.recommendations import ListedFilms
from cineclub.domain.recommender import FittedModel

MAX_FILMS = 20_000
RATINGS_LIKE_A_FILM = 25
"""So many ratings of a history take about the memory of one recommended film with its reasons."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer with what it was made from."""

    question: Question
    known: UserRatings
    listed: ListedFilms

    @property
    def size(self) -> int:
        """How much it takes, in recommended films."""
        return max(1, len(self.listed.recommendations)) + len(self.known) // RATINGS_LIKE_A_FILM


class RecentAnswers:
    """The last answer to each of the users seen last; whoever was seen longest ago is forgotten first.

    An answer follows from the question, the history and the model alone. Question and history are compared by value, so
    that a history which is read anew each time is enough; the model must be the very same object. Answers of one model
    alone are kept, and the model itself is not held: a former one leaves the memory at once.
    """

    def __init__(self, max_films: int = MAX_FILMS) -> None:
        """Start empty; ``max_films`` bounds the size of all answers together."""
        self._by_user: OrderedDict[str, _Kept] = OrderedDict()
        self._fitted: ref[FittedModel] | None = None
        self._max_films = max_films
        self._size = 0

    def recall(self, question: Question, known: UserRatings, fitted: FittedModel) -> ListedFilms | None:
        """Return the last answer to a user if it would be the same again; None if that is not certain."""
        kept = self._by_user.get(question.user_id or "")
        if kept is None or not self._is_of(fitted) or kept.question != question or not kept.known.is_same_as(known):
            return None
        self._by_user.move_to_end(question.user_id or "")
        return kept.listed

    def remember(self, question: Question, known: UserRatings, fitted: FittedModel, listed: ListedFilms) -> None:
        """Keep the answer to a user in the place of the one before, and forget others where there is no more room."""
        if question.user_id is None:
            return
        if not self._is_of(fitted):
            self._by_user.clear()
            self._fitted, self._size = ref(fitted), 0
        self.forget(question.user_id)
        self._by_user[question.user_id] = kept = _Kept(question, known, listed)
        self._size += kept.size
        while self._size > self._max_films:
            _, oldest = self._by_user.popitem(last=False)
            self._size -= oldest.size

    def forget(self, user_id: str) -> None:
        """Keep nothing of a user."""
        kept = self._by_user.pop(user_id, None)
        self._size -= 0 if kept is None else kept.size

    def _is_of(self, fitted: FittedModel) -> bool:
        """Say whether the answers are this model's."""
        return self._fitted is not None and self._fitted() is fitted

    def __len__(self) -> int:
        """Return the number of users whose answer is kept."""
        return len(self._by_user)
