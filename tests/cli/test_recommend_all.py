"""The command `cineclub recommend --all`: lists of all users in one file."""

import psycopg
import pyarrow.csv
import pyarrow.parquet
import pytest
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings
from registry_bench import write_ratings


@pytest.fixture(scope="module")
def trained(connected: Settings) -> Settings:
    """A database of 160 users with a model in production."""
    write_ratings(storage.database_url(connected))
    done = cineclub(connected.home, "train", "--models", "ease")
    assert done.returncode == 0, done.stderr
    return connected


def test_everybody_gets_the_movies_that_each_would_get_alone(trained: Settings) -> None:
    """The file has a row per film with ranks from 1, equal to single responses; existing files are refused."""
    output = trained.home / "all.parquet"
    shown = cineclub(trained.home, "recommend", "--all", "--output", str(output), "--top-n", "5")
    assert shown.returncode == 0, shown.stderr
    assert "160 users" in shown.stdout
    rows = pyarrow.parquet.read_table(output).to_pylist()
    assert len({row["user_id"] for row in rows}) == 160
    mine = [row for row in rows if row["user_id"] == "7"]
    assert [row["rank"] for row in mine] == [1, 2, 3, 4, 5]
    alone = cineclub(trained.home, "recommend", "7", "--top-n", "5")
    assert all(row["title"] in alone.stdout for row in mine)
    assert (mine[0]["strategy"], mine[0]["model_version"]) == ("model", 1)

    table = trained.home / "all.csv"
    assert cineclub(trained.home, "recommend", "--all", "--output", str(table)).returncode == 0
    assert pyarrow.csv.read_csv(table).num_rows == 1600

    again = cineclub(trained.home, "recommend", "--all", "--output", str(output))
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert not list(trained.home.glob(".*unfinished"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--all"], "give --all and --output FILE"),
        (["7", "--all", "--output", "x.csv"], "name one user"),
        ([], "name one user"),
    ],
)
def test_who_is_meant_must_be_said(connected: Settings, arguments: list[str], sentence: str) -> None:
    """Either a user or --all with a file must be given."""
    shown = cineclub(connected.home, "recommend", *arguments)
    assert shown.returncode == 2
    assert sentence in " ".join(shown.stderr.split())


def test_without_a_model_and_ratings_no_file_is_left(connected: Settings) -> None:
    """Without ratings an empty file is reported; an invalid name is refused first."""
    wrong = cineclub(connected.home, "recommend", "--all", "--output", str(connected.home / "all.xlsx"))
    assert (wrong.returncode, "must end in .parquet or .csv" in wrong.stderr) == (1, True)
    assert not list(connected.home.glob("*.xlsx"))


def test_a_film_that_no_model_has_learned_says_what_speaks_for_it(trained: Settings) -> None:
    """In the place of a rated film: a similar one, and what they share."""
    with psycopg.connect(storage.database_url(trained)) as connection:
        connection.execute("""UPDATE cineclub.movies SET labels = '{"director": ["John Frankenheimer"]}'""")
    added = cineclub(trained.home, "movies", "add", "9001", "--title", "Ronin", "--director", "john frankenheimer")
    assert added.returncode == 0, added.stderr
    shown = cineclub(trained.home, "recommend", "7", "--top-n", "100")
    words = " ".join(shown.stdout.split())
    assert "Ronin" in words
    assert ": director" in words
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS
