"""Search of films by title."""

import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cineclub.domain.ratings.title_search import TitleSearch, comparable_title

TITLES = [
    "Godfather, The (1972)",
    "Godfather: Part II, The (1974)",
    "Tokyo Godfathers (2003)",
    "Matrix, The (1999)",
    "M (1931)",
    "Go (1999)",
    "Star Wars: Episode IV - A New Hope (1977)",
    "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
    "Shawshank Redemption, The (1994)",
    "Terminator 2: Judgment Day (1991)",
    "Jurassic Park (1993)",
    "Lord of the Rings: The Fellowship of the Ring, The (2001)",
    "Ring, The (2002)",
]
SEARCH = TitleSearch(TITLES, np.linspace(1.0, 0.5, len(TITLES)).astype(np.float32))


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("godfahter", "Godfather, The (1972)"),
        ("the godfather", "Godfather, The (1972)"),
        ("GODFATHER PART II", "Godfather: Part II, The (1974)"),
        ("matirx", "Matrix, The (1999)"),
        ("starwars", "Star Wars: Episode IV - A New Hope (1977)"),
        ("amelie", "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        ("shawshenk", "Shawshank Redemption, The (1994)"),
        ("terminatr 2", "Terminator 2: Judgment Day (1991)"),
        ("jurasic prk", "Jurassic Park (1993)"),
        ("lord of the ring", "Lord of the Rings: The Fellowship of the Ring, The (2001)"),
        ("m", "M (1931)"),
    ],
)
def test_a_title_with_a_slip_is_found_first(typed: str, title: str) -> None:
    """Wrong and swapped letters, other case, missing accents and articles are tolerated."""
    assert TITLES[SEARCH.best(typed, 3)[0]] == title


def test_what_is_like_nothing_finds_nothing() -> None:
    """A text similar to no title finds no film."""
    assert SEARCH.best("xylophonequartz", 5) == []
    assert SEARCH.best(" .,! ", 5) == []
    assert TitleSearch([], np.empty(0, np.float32)).best("matrix", 5) == []


def test_between_equal_titles_the_known_one_comes_first() -> None:
    """Equal titles are ordered by popularity."""
    assert TitleSearch(["Heat (1972)", "Heat (1995)"], np.array([0.1, 3.0], np.float32)).best("heat", 2) == [1, 0]


@example("𝗔", 1)  # noqa: RUF001 - a bold capital, which has no small letter of its own
@given(st.text(max_size=30), st.integers(1, 5))
def test_any_text_gives_different_titles(typed: str, limit: int) -> None:
    """Any text gives at most the limit of different titles, without an error."""
    positions = SEARCH.best(typed, limit)
    assert len(positions) == len(set(positions)) <= limit
    assert comparable_title(comparable_title(typed)) == comparable_title(typed)


def test_long_texts_cost_no_more_than_their_first_letters() -> None:
    """A sign that stands for 18 letters makes no text longer than 200 letters, nor such a title."""
    many = TitleSearch([f"{title} {number}" for number in range(1000) for title in TITLES], np.ones(13_000, np.float32))

    def seconds(text: str) -> float:
        begun = time.process_time()
        many.best(text, 10)
        return time.process_time() - begun

    ordinary = min(seconds("the god father " * 14) for _ in range(3))
    assert min(seconds("\ufdfa" * 200) for _ in range(3)) < 8 * ordinary
    assert TitleSearch(["\ufdfa" * 1000], np.ones(1, np.float32)).best("\ufdfa" * 200, 1) == [0]
