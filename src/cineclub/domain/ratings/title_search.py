"""Search of titles, tolerant of case, accents, articles and typing errors."""

import re
import unicodedata
from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

MAX_LETTERS = 200
"""Of a text as it is compared: one sign can stand for 18 letters, and the time grows with the square."""
FEWEST_POINTS = 70.0
POINTS_OF_THE_WHOLE = 0.15
POINTS_OF_POPULARITY = 6.0
ARTICLES = "the|a|an|le|la|les|l'|un|une|der|die|das|el|los|las|il|lo|gli"
LATE_ARTICLE = re.compile(rf"^(.*), ({ARTICLES})$")
YEAR_AT_END = re.compile(r"\s*\(\d{4}\)$")


def comparable_title(title: str) -> str:
    """Return a title in small letters without accents, year and punctuation, its article in front."""
    folded = unicodedata.normalize("NFKD", title).casefold()  # bold capitals are letters only after normalisation
    plain = "".join(char for char in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(char))
    plain = YEAR_AT_END.sub("", plain.strip())
    if late := LATE_ARTICLE.match(plain):
        plain = f"{late[2]} {late[1]}"
    return " ".join(re.findall(r"\w+", plain))


class TitleSearch:
    """A search index of the titles of a catalogue."""

    def __init__(self, titles: Sequence[str], popularity: NDArray[np.float32]) -> None:
        """Take the titles and the popularity of each movie, shape (n_movies,), in any unit; it decides among equals."""
        self._titles = [comparable_title(title)[:MAX_LETTERS] for title in titles]
        self._lengths = np.array([len(title) for title in self._titles], np.int64)
        self._popularity = _shares_of_highest(popularity)

    def with_popularity(self, popularity: NDArray[np.float32]) -> "TitleSearch":
        """Return the search of the same titles with another popularity of each movie, shape (n_movies,)."""
        other = copy(self)
        other._popularity = _shares_of_highest(popularity)  # noqa: SLF001 - of its own class
        return other

    def with_changes(
        self, rows: NDArray[np.int64], changed: Sequence[str], popularity: NDArray[np.float32]
    ) -> "TitleSearch":
        """Return the search of titles of which few changed.

        Args:
            rows: (n_movies,) the position of each title here, -1 for those that changed or are new.
            changed: these, in their order.
            popularity: (n_movies,) of all.
        """
        others = iter(changed)
        other = copy(self)
        other._titles = [  # noqa: SLF001 - of its own class
            self._titles[row] if row >= 0 else comparable_title(next(others))[:MAX_LETTERS] for row in rows.tolist()
        ]
        other._lengths = np.array([len(title) for title in other._titles], np.int64)  # noqa: SLF001 - as above
        other._popularity = _shares_of_highest(popularity)  # noqa: SLF001 - as above
        return other

    def best(self, text: str, limit: int, excluded: NDArray[np.int64] | None = None) -> list[int]:
        """Return the positions of the titles most similar to a text, best first; empty if none is similar.

        Titles are ranked by the similarity of their best part (per cent of equal letters), and with small weights by
        that of the whole title and by the popularity of the movie. Only the first ``MAX_LETTERS`` letters count.
        Positions that are ``excluded``, (n,), are not returned.
        """
        wanted = comparable_title(text)[:MAX_LETTERS]
        if not wanted or not self._titles:
            return []
        part = process.cdist([wanted], self._titles, scorer=fuzz.partial_ratio, dtype=np.float32)[0]
        whole = process.cdist([wanted], self._titles, scorer=fuzz.ratio, dtype=np.float32)[0]
        is_shorter = self._lengths < len(wanted)
        similarity = np.where(is_shorter, whole, part)  # else "M" would match every text with an m
        if excluded is not None:
            similarity[excluded] = -np.inf
        points = similarity + POINTS_OF_THE_WHOLE * whole + POINTS_OF_POPULARITY * self._popularity
        order = np.lexsort((np.arange(len(points)), -points))
        return [int(position) for position in order[: 10 * limit] if similarity[position] >= FEWEST_POINTS][:limit]


def _shares_of_highest(popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the popularity of each movie as a share of the highest, shape (n_movies,)."""
    highest = float(popularity.max(initial=0.0))
    return np.clip(popularity / highest, 0, 1) if highest > 0 else np.zeros(len(popularity), np.float32)
