"""Films by what people type: other case, no accents, a missing article, a few wrong letters."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

FEWEST_POINTS = 70.0
POINTS_OF_THE_WHOLE = 0.15
POINTS_OF_POPULARITY = 6.0
ARTICLES = "the|a|an|le|la|les|l'|un|une|der|die|das|el|los|las|il|lo|gli"
LATE_ARTICLE = re.compile(rf"^(.*), ({ARTICLES})$")
YEAR_AT_END = re.compile(r"\s*\(\d{4}\)$")


def comparable_title(title: str) -> str:
    """Return a title in small letters without accents, year and punctuation, its article in front."""
    folded = unicodedata.normalize("NFKD", title).casefold()  # a bold capital is one only after the first step
    plain = "".join(one for one in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(one))
    plain = YEAR_AT_END.sub("", plain.strip())
    if late := LATE_ARTICLE.match(plain):
        plain = f"{late[2]} {late[1]}"
    return " ".join(re.findall(r"\w+", plain))


class TitleSearch:
    """The titles of a catalogue, ready to be searched."""

    def __init__(self, titles: Sequence[str], popularity: NDArray[np.float32]) -> None:
        """Take the titles, and how popular each film is, shape (n_movies,), any unit: between equals the known wins."""
        self._titles = [comparable_title(title) for title in titles]
        self._lengths = np.array([len(title) for title in self._titles], np.int64)
        highest = float(popularity.max(initial=0.0))
        self._popularity = np.clip(popularity / highest, 0, 1) if highest > 0 else np.zeros(len(titles), np.float32)

    def best(self, text: str, limit: int) -> list[int]:
        """Return the positions of the titles most like a text, best first; none where nothing is like it.

        A title counts by its part that is most like the text (in hundredths of the letters that agree), and a little
        by the whole of it and by how popular the film is.
        """
        wanted = comparable_title(text)
        if not wanted or not self._titles:
            return []
        part = process.cdist([wanted], self._titles, scorer=fuzz.partial_ratio, dtype=np.float32)[0]
        whole = process.cdist([wanted], self._titles, scorer=fuzz.ratio, dtype=np.float32)[0]
        is_shorter = self._lengths < len(wanted)
        like = np.where(is_shorter, whole, part)  # else "M" would be all like every text with an m
        worth = like + POINTS_OF_THE_WHOLE * whole + POINTS_OF_POPULARITY * self._popularity
        order = np.lexsort((np.arange(len(worth)), -worth))
        return [int(at) for at in order[: 10 * limit] if like[at] >= FEWEST_POINTS][:limit]
