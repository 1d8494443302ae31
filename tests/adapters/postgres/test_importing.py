"""Imports are all or nothing, change only what differs, and come back out as they went in."""

from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.files import open_source, write_rejects
from cineclub.adapters.postgres.exporting import export_ratings
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.domain.errors import InvalidInput, ReadOnlySource
from cineclub.domain.ratings import RatingScale
from cineclub.flows.importing import ImportReport, import_ratings

HEADER = "userId,movieId,rating,timestamp\n"


def write_release(folder: Path, ratings: str, movies: str = "10,Heat (1995),Crime\n") -> Path:
    """Write a csv release."""
    folder.mkdir(exist_ok=True)
    (folder / "ratings.csv").write_text(HEADER + ratings)
    (folder / "movies.csv").write_text("movieId,title,genres\n" + movies)
    return folder


def run(url: str, path: Path, *, strict: bool = False, scale: RatingScale | None = None) -> ImportReport:
    """Import a path; rejects go beside it."""
    source = open_source(path, None, scale)
    rejects = path.parent / "rejects.csv"
    return import_ratings(source, PostgresRatingImport(url), write_rejects, rejects, strict=strict)


def contents(url: str) -> list[tuple[object, ...]]:
    """All ratings by external ids, with titles."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT u.external_id, m.external_id, m.title, r.rating, extract(epoch FROM r.rated_at)::bigint"
            " FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id"
            " JOIN cineclub.movies m ON m.id = r.movie_id ORDER BY 1, 2"
        ).fetchall()


def state_of(url: str) -> list[tuple[object, ...]]:
    """The physical state of the ratings: an untouched row keeps its place."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT ctid::text, xmin::text FROM cineclub.ratings ORDER BY 1").fetchall()


def test_a_second_import_of_the_same_file_changes_nothing(database_url: str, tmp_path: Path) -> None:
    """Not a row is touched."""
    release = write_release(tmp_path / "r", "1,10,4,100\n2,10,3,200\n2,11,5,300\n")
    first = run(database_url, release)
    assert (first.counts.n_inserted, first.counts.n_new_users, first.counts.n_new_movies) == (3, 2, 2)
    before = state_of(database_url)
    second = run(database_url, release)
    assert (second.counts.n_inserted, second.counts.n_updated, second.counts.n_unchanged) == (0, 0, 3)
    assert state_of(database_url) == before
    assert contents(database_url)[2] == ("2", "11", "11", 5.0, 300)


def test_a_later_file_changes_what_differs_and_adds_what_is_new(database_url: str, tmp_path: Path) -> None:
    """An upsert counts what it inserted, updated and left."""
    run(database_url, write_release(tmp_path / "a", "1,10,4,100\n1,12,2,100\n"))
    report = run(
        database_url, write_release(tmp_path / "b", "1,10,5,150\n1,12,2,100\n3,10,1,100\n", "12,Ronin (1998),Action\n")
    )
    counts = report.counts
    assert (counts.n_inserted, counts.n_updated, counts.n_unchanged) == (1, 1, 1)
    assert contents(database_url) == [
        ("1", "10", "Heat", 5.0, 150),
        ("1", "12", "Ronin", 2.0, 100),
        ("3", "10", "Heat", 1.0, 100),
    ]


def test_the_keys_are_back_after_an_import_into_the_empty_table(database_url: str, tmp_path: Path) -> None:
    """What the import drops to be fast, it builds again."""
    query = "SELECT conname FROM pg_constraint WHERE conrelid = 'cineclub.ratings'::regclass AND contype IN ('p', 'f')"
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'cineclub' AND tablename = 'ratings'"
    with psycopg.connect(database_url) as connection:
        before = {*connection.execute(query.encode()), *connection.execute(indexes.encode())}
    run(database_url, write_release(tmp_path / "r", "1,10,4,100\n"))
    with psycopg.connect(database_url) as connection:
        assert {*connection.execute(query.encode()), *connection.execute(indexes.encode())} == before
    assert len(before) == 5


def test_bad_rows_are_reported_and_the_rest_is_written(database_url: str, tmp_path: Path) -> None:
    """The rejects file names the file, the line, the reason and the content."""
    report = run(database_url, write_release(tmp_path / "r", "1,10,4,100\n1,11,9,100\n"))
    assert (report.n_read, report.n_rejected, report.counts.n_inserted) == (2, 1, 1)
    assert report.rejects_path is not None
    lines = report.rejects_path.read_text().splitlines()
    assert lines[0] == "file,line,reason,content"
    assert lines[1].startswith("ratings.csv,3,the rating is off the scale 0.5 to 5")


def test_strict_refuses_the_whole_file(database_url: str, tmp_path: Path) -> None:
    """One bad row and nothing is written, films included."""
    with pytest.raises(InvalidInput, match="line 3"):
        run(database_url, write_release(tmp_path / "r", "1,10,4,100\n1,11,9,100\n"), strict=True)
    assert contents(database_url) == []
    assert PostgresRatingImport(database_url).scale() is None


def test_another_scale_is_refused(database_url: str, tmp_path: Path) -> None:
    """Ratings of two scales in one table would mean nothing."""
    run(database_url, write_release(tmp_path / "a", "1,10,4,100\n"))
    with pytest.raises(InvalidInput, match=r"0\.5 to 5"):
        run(database_url, write_release(tmp_path / "b", "2,10,8,100\n"), scale=RatingScale(0, 10))
    assert len(contents(database_url)) == 1


def test_ids_are_integers_only_as_long_as_all_are(database_url: str, tmp_path: Path) -> None:
    """One text id makes a catalogue one of text ids, for ever."""
    query = "SELECT movie_ids_are_integers, user_ids_are_integers FROM cineclub.catalogue"
    for name, ratings, expected in (
        ("a", "1,10,4,100\n", (True, True)),
        ("b", "1,007,4,100\n", (False, True)),
        ("c", "1,11,4,100\n", (False, True)),
    ):
        run(database_url, write_release(tmp_path / name, ratings))
        with psycopg.connect(database_url) as connection:
            assert connection.execute(query.encode()).fetchall() == [expected]


def test_a_read_only_source_is_not_written(database_url: str, tmp_path: Path) -> None:
    """Where ratings come from the owner's views an import is refused before anything is read."""
    source = open_source(write_release(tmp_path / "r", "1,10,4,100\n"))
    target = PostgresRatingImport(database_url, is_writable=False)
    with pytest.raises(ReadOnlySource):
        import_ratings(source, target, write_rejects, tmp_path / "rejects.csv")


def test_an_export_is_imported_again_without_a_difference(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """Ratings, times, films and the scale go round."""
    from cineclub.adapters.postgres.migrate import migrate  # noqa: PLC0415 - the second database of this test alone

    movies = '10,"Good, the Bad and the Ugly, The (1966)",Western\n12,Untitled,(no genres listed)\n'
    run(
        database_url,
        write_release(tmp_path / "r", "1,10,4,100\n2,12,9.5,200.25\n", movies),
        scale=RatingScale(0, 10),
    )
    folder = tmp_path / "export"
    assert export_ratings(database_url, folder, lambda _fraction, _name: None) == 2
    with pytest.raises(InvalidInput, match="already"):
        export_ratings(database_url, folder, lambda _fraction, _name: None)
    assert run(database_url, folder).counts.n_unchanged == 2
    migrate(empty_database_url)
    run(empty_database_url, folder)
    assert contents(empty_database_url) == contents(database_url)
    assert PostgresRatingImport(empty_database_url).scale() == RatingScale(0, 10)
