"""The commands `cineclub import`, `export`, `backup` and `restore`."""

from pathlib import Path

import pytest
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.cli.data import mapping_of, scale_of
from cineclub.domain.errors import InvalidInput
from cineclub.domain.ratings.imported import ColumnMapping
from cineclub.domain.ratings.log import RatingScale
from cineclub.settings import Settings

RATINGS = """who,what,points,when,name
ann,heat,9,1700000000,Heat (1995)
ann,alien,7,2023-11-14T22:13:20Z,Alien (1979)
bob,heat,11,1700000000,Heat (1995)
bob,alien,8,1700000000000,Alien (1979)
bob,heat,8,1700000001,Heat (1995)
"""
COLUMN_OPTIONS = [
    *("--user-column", "who", "--movie-column", "what", "--rating-column", "points"),
    *("--time-column", "when", "--title-column", "name", "--scale", "1-10"),
]


@pytest.fixture
def ratings_file(tmp_path: Path) -> Path:
    """A plain CSV with two bad rows: one off the scale, one in milliseconds."""
    path = tmp_path / "votes.csv"
    path.write_text(RATINGS)
    return path


def test_a_plain_file_is_imported_exported_backed_up_and_restored(
    connected: Settings, home: Path, ratings_file: Path, tmp_path: Path
) -> None:
    """Bad rows are reported with their lines, a second import changes nothing, and a backup is restored elsewhere."""
    rejects = tmp_path / "bad.csv"
    command = ("import", str(ratings_file), *COLUMN_OPTIONS, "--rejects", str(rejects))

    strict = cineclub(connected.home, *command, "--strict")
    assert strict.returncode == 1
    assert "nothing was imported" in strict.stderr
    assert storage.rating_store(connected).facts().n_ratings == 0

    first = cineclub(connected.home, *command)
    assert first.returncode == 0, first.stderr
    assert "3 new, 0 changed, 0 unchanged" in first.stdout
    assert "2 bad rows" in first.stdout
    assert max(len(line) for line in first.stdout.splitlines()) <= max(COLUMNS, len(str(rejects)) + 60)
    reasons = rejects.read_text()
    assert ",4,the rating is off the scale 1 to 10," in reasons
    assert ",5,the time lies after 2100: it looks like milliseconds" in reasons

    again = cineclub(connected.home, *command)
    assert "0 new, 0 changed, 3 unchanged" in again.stdout

    exported = cineclub(connected.home, "export", str(tmp_path / "out"))
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "out" / "ratings.csv").read_text().count("\n") == 4

    backup = tmp_path / "all.backup"
    assert cineclub(connected.home, "backup", str(backup)).returncode == 0
    restored = cineclub(home, "restore", str(backup))
    assert restored.returncode == 0, restored.stderr
    assert restored.stdout == "restored: 3 ratings by 2 users of 2 films\n"
    refused = cineclub(connected.home, "restore", str(backup))
    assert refused.returncode == 1
    assert "--replace" in refused.stderr


FILMS = """movie_id,title,year,director,available,type
heat,Heat,1995,Michael Mann,true,movie
ronin,Ronin,1998,John Frankenheimer,false,movie
wire,The Wire,2002,,,tvSeries
alien,Alien,soon,,,movie
"""


def test_films_are_imported_with_ratings_or_alone(home: Path, ratings_file: Path, tmp_path: Path) -> None:
    """The output counts films, labels, series and bad rows; without ratings there is nothing to import films into."""
    (tmp_path / "films.csv").write_text(FILMS)
    of_movies = ("--movies", str(tmp_path / "films.csv"), "--rejects", str(tmp_path / "bad.csv"))
    labels = ("--labels", "tag=name")

    nothing, alone = cineclub(home, "import"), cineclub(home, "import", *of_movies)
    assert (nothing.returncode, alone.returncode) == (1, 1)
    assert "nothing to import: name a file or folder of ratings" in " ".join(nothing.stderr.split())
    assert "there are no ratings yet" in " ".join(alone.stderr.split())

    both = cineclub(home, "import", str(ratings_file), *COLUMN_OPTIONS, *labels, *of_movies)
    assert both.returncode == 0, both.stderr
    assert "2 new users, 3 new films, 0 changed films\n4 labels of films\n" in both.stdout
    assert "1 series, episodes and games left out" in both.stdout
    assert "3 bad rows" in both.stdout
    assert "films.csv,5,the year is no number" in (tmp_path / "bad.csv").read_text()

    (tmp_path / "films.csv").write_text(FILMS.replace("Michael", "M."))
    changed = cineclub(home, "import", *of_movies)
    assert changed.returncode == 0, changed.stderr
    assert changed.stdout.startswith("0 new films, 1 changed films\n2 labels of films\n")
    assert max(map(len, [*both.stdout.splitlines()[:-1], *changed.stdout.splitlines()[:-1]])) <= COLUMNS


def test_labels_are_named_by_kind_and_column() -> None:
    """Another text is refused with an example."""
    with pytest.raises(InvalidInput, match="--labels director=directors"):
        mapping_of({}, ["director"])
    mapping = mapping_of({"title": "name"}, ["director=by", "mood=words"])
    assert mapping == ColumnMapping(title="name", labels=(("director", "by"), ("mood", "words")))


@pytest.mark.parametrize(
    ("text", "scale"), [("1-10", RatingScale(1, 10)), ("0.5-5", RatingScale(0.5, 5)), ("-1-1", RatingScale(-1, 1))]
)
def test_a_scale_is_written_with_a_dash(text: str, scale: RatingScale) -> None:
    """Scales of whole numbers, of fractions and with a negative end are parsed."""
    assert scale_of(text) == scale


@pytest.mark.parametrize("text", ["", "5", "a-b", "5-1", "nan-5"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    """The message shows the form of a scale."""
    with pytest.raises(InvalidInput, match="scale"):
        scale_of(text)
