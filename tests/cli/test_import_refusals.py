"""What `cineclub import` and `cineclub evaluate` refuse or report before anything is lost."""

from pathlib import Path

import psycopg
from command_line import cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings

HEADER = "user_id,movie_id,rating,rated_at\n"
SCALE = ("--scale", "1-5")


def test_rejects_are_not_written_over_the_source(connected: Settings, tmp_path: Path) -> None:
    """`cineclub import rejects.csv` where rejects go leaves the file as it was."""
    source = tmp_path / "rejects.csv"
    source.write_text(HEADER + "1,1,9,964982703\n2,1,4,964982703\n")
    before = source.read_bytes()
    refused = cineclub(connected.home, "import", str(source), *SCALE, "--rejects", str(source))
    assert refused.returncode == 1
    assert "--rejects" in refused.stderr
    assert source.read_bytes() == before
    assert storage.rating_store(connected).facts().n_ratings == 0


def test_an_import_reports_ids_and_lines_that_it_reads_in_another_way(connected: Settings, tmp_path: Path) -> None:
    """1.0 read as 1, and lines within a quoted field, are counted on stdout; beside a demo an option is asked for."""
    path = tmp_path / "votes.csv"
    path.write_text(HEADER.replace("\n", ",title\n") + '1.0,1,4,964982703,"a\nb"\n2.0,2,5,964982703,c\n')
    command = ("import", str(path), *SCALE, "--title-column", "title", "--rejects", str(tmp_path / "bad.csv"))
    imported = cineclub(connected.home, *command)
    assert imported.returncode == 0, imported.stderr
    assert "2 ratings read" in imported.stdout
    assert "2 ids spelled in another way" in imported.stdout
    assert "1 lines continue the quoted field" in imported.stdout
    with psycopg.connect(storage.database_url(connected), autocommit=True) as connection:
        connection.execute("UPDATE cineclub.catalogue SET holds_demo = true")
    refused = cineclub(connected.home, *command)
    assert refused.returncode == 1
    assert "--beside-demo" in refused.stderr
    assert cineclub(connected.home, *command, "--beside-demo").returncode == 0
    with psycopg.connect(storage.database_url(connected), autocommit=True) as connection:
        connection.execute("UPDATE cineclub.catalogue SET holds_demo = false")


def test_an_evaluation_reports_what_it_leaves_out(home: Path, tmp_path: Path) -> None:
    """Bad and superseded rows of a file are counted on stderr with the first reasons; the status is 0."""
    path = tmp_path / "votes.csv"
    rows = [
        f"{user},{movie},{1 + (user * movie) % 5},9649{user:02}{movie:03}" for user in range(60) for movie in range(40)
    ]
    path.write_text(HEADER + "\n".join([*rows, "1,x y,9,964982703", '1,"7,4,964982703', "1,2,3,999999999"]) + "\n")
    shown = cineclub(home, "evaluate", str(path), *SCALE, "--models", "popular", "--search", "none")
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stderr.split())
    assert "2 bad rows left out, 1 superseded" in words
    assert "votes.csv line 2402" in words
    assert "votes.csv line 2403" in words
