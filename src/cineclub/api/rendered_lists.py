"""A cache of recommendations as JSON."""

from weakref import WeakKeyDictionary

import orjson

from cineclub.api.presentation import recommendation_documents
from cineclub.domain.recommend.recommendations import RecommendationList


class RenderedLists:
    """Renders a list of recommendations once, for lists that are served again from memory.

    Keys are the lists, by identity and held weakly: an entry ends when no other cache holds its list.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._rendered: WeakKeyDictionary[RecommendationList, tuple[bool, orjson.Fragment]] = WeakKeyDictionary()

    def of(self, recommendations: RecommendationList, *, integers: bool) -> orjson.Fragment:
        """Return the movies as JSON, with integer ids or text."""
        rendered = self._rendered.get(recommendations)
        if rendered is not None and rendered[0] == integers:
            return rendered[1]
        fragment = orjson.Fragment(orjson.dumps(recommendation_documents(recommendations, integers=integers)))
        self._rendered[recommendations] = (integers, fragment)
        return fragment

    def __len__(self) -> int:
        """Return the number of cached lists."""
        return len(self._rendered)
