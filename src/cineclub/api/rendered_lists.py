"""The films of answers as JSON, kept for as long as somebody else keeps the films."""

from weakref import WeakKeyDictionary

import orjson

from cineclub.api.presentation import recommendation_documents
from cineclub.domain.recommendations import ListedFilms


class RenderedLists:
    """Writes the films of an answer once; an answer that is remembered is sent again as it was written.

    The films are known by their object, and held weakly: what is kept here ends with the memory that holds them.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._kept: WeakKeyDictionary[ListedFilms, tuple[bool, orjson.Fragment]] = WeakKeyDictionary()

    def of(self, listed: ListedFilms, *, integers: bool) -> orjson.Fragment:
        """Return the films as JSON; ``integers`` says how the caller's system writes ids."""
        kept = self._kept.get(listed)
        if kept is not None and kept[0] == integers:
            return kept[1]
        rendered = orjson.Fragment(orjson.dumps(recommendation_documents(listed, integers=integers)))
        self._kept[listed] = (integers, rendered)
        return rendered

    def __len__(self) -> int:
        """Return the number of lists kept."""
        return len(self._kept)
