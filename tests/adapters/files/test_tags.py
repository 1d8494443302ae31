"""Tags of a MovieLens release become labels with a weight and the time at which they were first given."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from reading import read, reasons

from cineclub.domain.ratings.imported import ImportedRatings
from cineclub.domain.ratings.labels import Label

RATINGS = "userId,movieId,rating,timestamp\n1,10,4,100\n2,11,3,200\n"
TAGS = (
    "userId,movieId,tag,timestamp\n1,10,Heist,12000\n2,10,heist,1000\n2,10,HEIST ,3000\n"
    '3,10,"guns, and ""cops""",500\n1,11,slow,700\n'
)


def import_tags(folder: Path, tags: str) -> ImportedRatings:
    """Read a release with these tags."""
    (folder / "ratings.csv").write_text(RATINGS)
    (folder / "tags.csv").write_text(tags)
    return read(folder)


def labels_of(imported: ImportedRatings) -> dict[str, tuple[Label, ...]]:
    """The labels by movie."""
    return {movie.external_id: movie.labels for movie in imported.movies}


def at(seconds: float) -> datetime:
    """A moment by its seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def test_a_tag_weighs_by_its_people_and_counts_from_its_first_time(tmp_path: Path) -> None:
    """Spellings are one tag under the first one; a person counts once; the most given tag of a film weighs 1."""
    labels = labels_of(import_tags(tmp_path, TAGS))
    assert labels == {
        "10": (Label("tag", "Heist", 1.0, at(1000)), Label("tag", 'guns, and "cops"', 0.5, at(500))),
        "11": (Label("tag", "slow", 1.0, at(700)),),
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",10,Heist,12000", "user id is missing"),
        ("1,,Heist,12000", "film id is missing"),
        ("1,99,Heist,12000", "the film is in no other file"),
        ("1,10,,12000", "tag is missing"),
        ("1,10, \x01 ,12000", "tag is missing"),
        (f"1,10,{'x' * 201},12000", "longer than 200"),
        ("1,10,Heist,", "time is missing"),
        ("1,10,Heist,2000000000000", "milliseconds"),
        ("1,10,Heist,-1", "before 1970"),
        ("1,10,Heist", "3 columns where 4 belong"),
        ('1,10,"Heist,12000', "quote"),
    ],
)
def test_a_row_that_is_no_tag_is_reported(tmp_path: Path, row: str, reason: str) -> None:
    """The other rows are used, and the line is named."""
    imported = import_tags(tmp_path, f"{TAGS}{row}\n")
    assert list(reasons(imported)) == [7]
    assert reason in reasons(imported)[7]
    assert labels_of(imported) == labels_of(import_tags(tmp_path, TAGS))
    assert imported.rejected[0].file == "tags.csv"


def test_a_rejected_tag_shows_its_text(tmp_path: Path) -> None:
    """The rejects file has the row as it is written, the tag included."""
    imported = import_tags(tmp_path, f"{TAGS}1,99,Heist,12000\n")
    assert imported.rejected[0].content == "1,99,Heist,12000"


def test_tags_of_a_dat_release_are_read(tmp_path: Path) -> None:
    """``tags.dat`` has no header, and ``::`` between its columns."""
    (tmp_path / "README.html").write_text("MovieLens 10M")
    (tmp_path / "ratings.dat").write_text("1::10::4::100\n")
    (tmp_path / "tags.dat").write_text("15::10::excellent!::1215184630\n")
    assert labels_of(read(tmp_path)) == {"10": (Label("tag", "excellent!", 1.0, at(1215184630)),)}


def test_ids_that_a_program_widened_are_those_of_the_ratings(tmp_path: Path) -> None:
    """10.0 is the film 10."""
    imported = import_tags(tmp_path, "userId,movieId,tag,timestamp\n1.0,10.0,Heist,12000\n2,10,Heist,12000\n")
    assert labels_of(imported) == {"10": (Label("tag", "Heist", 1.0, at(12000)),)}


def test_a_tag_of_few_among_many_has_a_weight_above_0(tmp_path: Path) -> None:
    """A weight is rounded to four digits, never to 0."""
    rows = "".join(f"{user},10,common,100\n" for user in range(30_000))
    imported = import_tags(tmp_path, f"userId,movieId,tag,timestamp\n{rows}1,10,rare,100\n")
    assert labels_of(imported)["10"][1] == Label("tag", "rare", 0.0001, at(100))


def test_labels_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    """Of more than 1,000 tags of a film the heaviest stay, and the import says how many it left out."""
    rows = "".join(f"1,10,tag {nth},100\n" for nth in range(1005))
    imported = import_tags(tmp_path, f"userId,movieId,tag,timestamp\n{rows}2,10,tag 1004,100\n")
    assert len(labels_of(imported)["10"]) == 1000
    assert "tag 1004" in {label.name for label in labels_of(imported)["10"]}
    assert imported.left_out.n_labels == 5


def test_a_file_without_the_columns_of_tags_is_reported(tmp_path: Path) -> None:
    """The header is a rejected row, and the ratings are read."""
    imported = import_tags(tmp_path, "movieId,tagId,relevance\n10,1,0.5\n")
    assert len(imported.rows) == 2
    assert imported.rejected[0].reason == "the file has no column userId, tag, timestamp, so none of it is used"
