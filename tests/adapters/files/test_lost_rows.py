"""No row is lost to a quote: rows in are rows used and rows reported, with the lines at which they are."""

from pathlib import Path

import pytest
from reading import HEADER, n_rows, pairs, read, read_text, reasons

from cineclub.domain.errors import InvalidInput

N_ROWS = 400_000


def numbered(first: int, end: int) -> str:
    """Rows by users of these numbers."""
    return "".join(f"{user},1,4,964982703,Heat (1995)\n" for user in range(first, end))


def test_a_quote_that_never_closes_costs_its_own_row(tmp_path: Path) -> None:
    """Of 400,000 rows one has an open quote: 399,999 are used, and that line is reported."""
    opened = '12,1,4,964982703,"Heat (1995)\n'
    imported = read_text(tmp_path, HEADER + numbered(0, 12) + opened + numbered(13, N_ROWS))
    assert len(imported.rows) == N_ROWS - 1
    assert list(reasons(imported)) == [14]
    assert "quote" in reasons(imported)[14]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('1,1,4,964982703,"Heat\n', '2,1,4,964982703,Heat"\n'),
        ('1,1,4,964982703,"Heat\n', '2,1,4,964982703,"Heat"\n'),
        ('1,1,"4,964982703,Heat\n', '2,1,4",964982703,Heat\n'),
        ('"1,1,4,964982703,Heat\n', '2",1,4,964982703,Heat\n'),
        ('1,"1,4,964982703,Heat\n', '2,1,4,964982703,Heat",4,964982703,Heat\n'),
    ],
)
def test_two_quotes_cost_their_rows_and_none_between(tmp_path: Path, first: str, second: str) -> None:
    """The rows between two rows with a quote each are all used, and the two are used or reported."""
    imported = read_text(tmp_path, HEADER + first + numbered(10, 110) + second + numbered(110, 120))
    assert n_rows(imported) == 112
    assert {(str(user), "1") for user in range(10, 120)} <= pairs(imported)
    assert set(reasons(imported)) <= {2, 103}


def test_a_line_break_in_a_title_keeps_the_row_and_the_line_numbers(tmp_path: Path) -> None:
    """A quoted title over three lines is one row; the bad row below it is reported at its own line."""
    text = '1,1,4,964982703,"Heat\n\nthird (1995)"\n1,2,9,964982703,Ronin\n2,1,4,964982703,"the ""best"""\n'
    imported = read_text(tmp_path, HEADER + text)
    assert len(imported.rows) == 2
    assert imported.n_continued == 1  # the blank line is no row
    assert list(reasons(imported)) == [5]
    assert imported.movies[0].title == "Heat\n\nthird"


def test_a_line_break_within_an_id_is_no_row(tmp_path: Path) -> None:
    """Ids, ratings and times have no line breaks: each line of such a row is reported."""
    imported = read_text(tmp_path, HEADER + '"1\n2",1,4,964982703,Heat\n3,1,4,964982703,Heat\n')
    assert pairs(imported) == {("3", "1")}
    assert list(reasons(imported)) == [2, 3]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_as_one(tmp_path: Path, line_end: str) -> None:
    """LF, CR LF and CR end a line, and lines keep their numbers."""
    path = tmp_path / "votes.csv"
    text = HEADER + "1,1,4,964982703,Heat\n\n2,1,bad,964982703,Heat\n3,1,4,964982703,Heat"
    path.write_bytes(text.replace("\n", line_end).encode())
    imported = read(path)
    assert len(imported.rows) == 2
    assert list(reasons(imported)) == [4]


def test_rows_of_separators_and_of_nothing_are_reported(tmp_path: Path) -> None:
    """A line of commas is a row without an id; a line of blanks is none."""
    imported = read_text(tmp_path, HEADER + ",,,,\n   \n1,1,4,964982703,Heat\n")
    assert reasons(imported) == {2: "the user id is missing"}


def test_rows_keep_their_lines_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted field and a bad row are found at their lines wherever blocks end."""
    text = HEADER + numbered(0, 50) + '50,1,4,964982703,"a\nb\nc"\n' + numbered(51, 90) + "90,1,bad,964982703,Heat\n"
    for n_bytes in (200, 997, 1_400, 1_500, 1_533):
        monkeypatch.setattr("cineclub.adapters.files.lines.BLOCK_BYTES", n_bytes)
        monkeypatch.setattr("cineclub.adapters.files.lines.line_blocks.__defaults__", (n_bytes,))
        imported = read_text(tmp_path, text)
        assert (len(imported.rows), imported.n_continued) == (90, 2)
        assert list(reasons(imported)) == [94]


def test_a_quote_in_the_films_of_a_release_costs_one_film(tmp_path: Path) -> None:
    """Films after an open quote are read, and its line is reported; so are bad lines of links.csv."""
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4,964982703\n")
    movies = "".join(f"{movie},Film {movie},Drama\n" for movie in range(2, 500))
    (tmp_path / "movies.csv").write_text(f'movieId,title,genres\n1,"Heat,Crime\n{movies}')
    (tmp_path / "links.csv").write_text("movieId,imdbId,tmdbId\n2,0113277,949\n3,0113277\n")
    imported = read(tmp_path)
    assert len(imported.movies) == 498
    assert [(row.file, row.line) for row in imported.rejected] == [("movies.csv", 2), ("links.csv", 3)]
    assert imported.movies[0].imdb_id == "0113277"


def test_a_header_with_an_open_quote_is_refused(tmp_path: Path) -> None:
    """The first line is no place to guess."""
    with pytest.raises(InvalidInput, match="quote in its first line"):
        read_text(tmp_path, HEADER.replace("user_id", '"user_id') + numbered(0, 5))
