"""The rejects file never takes the place of ratings or of another file, and is written whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cineclub.adapters.files import refuse_to_overwrite, write_rejects
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import RejectedRow

ROWS = [RejectedRow("a.csv", 7, "bad", 'x,"y"\n\x1b')]


def test_an_older_rejects_file_is_replaced(tmp_path: Path) -> None:
    """A second import writes its own rows."""
    path = tmp_path / "new folder" / "rejects.csv"
    assert write_rejects(path, ROWS) == str(path)
    write_rejects(path, ROWS * 2)
    assert path.read_text().count("a.csv,7,bad,") == 2
    assert list(path.parent.iterdir()) == [path]


def test_two_imports_at_once_each_write_a_whole_file(tmp_path: Path) -> None:
    """The second one writes and ends while the first one writes; neither takes the other's file away."""
    path = tmp_path / "rejects.csv"

    def rows_with_another_import() -> Iterator[RejectedRow]:
        yield from ROWS
        write_rejects(path, ROWS)
        yield from ROWS

    write_rejects(path, rows_with_another_import())
    assert path.read_text().count("a.csv,7,bad,") == 2
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write the folder cannot have the owner's files overwritten; a link of the owner's own stays."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".rejects.csv.unfinished").symlink_to(tmp_path / "precious")
    (tmp_path / "rejects.csv").symlink_to(tmp_path / "target.csv")
    write_rejects(tmp_path / "rejects.csv", ROWS)
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "rejects.csv").is_symlink()
    assert "a.csv,7,bad," in (tmp_path / "target.csv").read_text()


@pytest.mark.parametrize("link", ["none", "symbolic", "hard"])
def test_the_source_is_not_overwritten(tmp_path: Path, link: str) -> None:
    """`cineclub import rejects.csv` in the folder where rejects go is refused, links included."""
    source = tmp_path / "rejects.csv"
    write_rejects(source, ROWS)
    rejects = source
    if link == "symbolic":
        rejects = tmp_path / "link.csv"
        rejects.symlink_to(source)
    elif link == "hard":
        rejects = tmp_path / "hard.csv"
        rejects.hardlink_to(source)
    with pytest.raises(InvalidInput, match="--rejects"):
        refuse_to_overwrite(rejects, source)


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    """A file that holds no rejects stays, whether it is found before the import or at its end."""
    path = tmp_path / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n")
    for refused in (lambda: refuse_to_overwrite(path, tmp_path), lambda: write_rejects(path, ROWS)):
        with pytest.raises(InvalidInput, match="already"):
            refused()
    assert path.read_text() == "userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize("place", ["/dev/full", "file/rejects.csv", "x" * 300, "/proc/rejects.csv", "."])
def test_a_place_that_takes_no_file_is_named(tmp_path: Path, place: str) -> None:
    """A full disk, a file in place of a folder, a name too long and a read-only folder: the message has a way out."""
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"nothing was imported.*--rejects"):
        write_rejects(tmp_path / place, ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_rejects_can_be_thrown_away() -> None:
    """A device is written to, and stays."""
    write_rejects(Path("/dev/null"), ROWS)
    assert Path("/dev/null").is_char_device()
