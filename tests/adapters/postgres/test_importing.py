"""Imports are atomic, change only differing rows, and are exported without a difference."""

from functools import partial
from pathlib import Path

import psycopg
import pytest

from cineclub.adapters.files import open_source, write_rejects
from cineclub.adapters.postgres.exporting import export_ratings
from cineclub.adapters.postgres.importing import PostgresRatingImport
from cineclub.adapters.postgres.migrate import migrations
from cineclub.domain.errors import Conflict, InvalidInput, ReadOnlySource
from cineclub.domain.ratings.log import RatingScale
from cineclub.flows.importing import ImportReport, import_ratings

HEADER = "userId,movieId,rating,timestamp\n"


def write_release(folder: Path, ratings: str, movies: str = "10,Heat (1995),Crime\n") -> Path:
    """Write a csv release."""
    folder.mkdir(exist_ok=True)
    (folder / "ratings.csv").write_text(HEADER + ratings)
    (folder / "movies.csv").write_text("movieId,title,genres\n" + movies)
    return folder


def run(url: str, path: Path, *, strict: bool = False, scale: RatingScale | None = None) -> ImportReport:
    """Import a path; the rejects file is written beside it."""
    source = open_source(path, None, scale)
    rejects = path.parent / "rejects.csv"
    target = PostgresRatingImport(url)
    return import_ratings(source, target.scale(), target.write, partial(write_rejects, rejects), strict=strict)


def contents(url: str) -> list[tuple[object, ...]]:
    """All ratings by external ids, with titles."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT u.external_id, m.external_id, m.title, r.rating, extract(epoch FROM r.rated_at)::bigint"
            " FROM cineclub.ratings r JOIN cineclub.users u ON u.id = r.user_id"
            " JOIN cineclub.movies m ON m.id = r.movie_id ORDER BY 1, 2"
        ).fetchall()


def state_of(url: str) -> list[tuple[object, ...]]:
    """The physical position of each rating, which changes when its row is rewritten."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT ctid::text, xmin::text FROM cineclub.ratings ORDER BY 1").fetchall()


def test_a_second_import_of_the_same_file_changes_nothing(database_url: str, tmp_path: Path) -> None:
    """A second import of the same file rewrites no row."""
    release = write_release(tmp_path / "r", "1,10,4,100\n2,10,3,200\n2,11,5,300\n")
    first = run(database_url, release)
    assert (first.counts.n_inserted, first.counts.n_new_users, first.counts.n_new_movies) == (3, 2, 2)
    before = state_of(database_url)
    second = run(database_url, release)
    assert (second.counts.n_inserted, second.counts.n_updated, second.counts.n_unchanged) == (0, 0, 3)
    assert state_of(database_url) == before
    assert contents(database_url)[2] == ("2", "11", "11", 5.0, 300)


def test_a_later_file_changes_what_differs_and_adds_what_is_new(database_url: str, tmp_path: Path) -> None:
    """An upsert reports the inserted, updated and unchanged rows."""
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
    """Indexes dropped for a fast import are built again."""
    query = "SELECT conname FROM pg_constraint WHERE conrelid = 'cineclub.ratings'::regclass AND contype IN ('p', 'f')"
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'cineclub' AND tablename = 'ratings'"
    with psycopg.connect(database_url) as connection:
        before = {*connection.execute(query.encode()), *connection.execute(indexes.encode())}
    run(database_url, write_release(tmp_path / "r", "1,10,4,100\n"))
    with psycopg.connect(database_url) as connection:
        assert {*connection.execute(query.encode()), *connection.execute(indexes.encode())} == before
    assert len(before) == 5


def test_bad_rows_are_reported_and_the_rest_is_written(database_url: str, tmp_path: Path) -> None:
    """The rejects file lists file, line, reason and content."""
    report = run(database_url, write_release(tmp_path / "r", "1,10,4,100\n1,11,9,100\n"))
    assert (report.n_read, report.n_rejected, report.counts.n_inserted) == (2, 1, 1)
    assert report.rejects_path is not None
    lines = Path(report.rejects_path).read_text().splitlines()
    assert lines[0] == "file,line,reason,content"
    assert lines[1].startswith("ratings.csv,3,the rating is off the scale 0.5 to 5")


def test_strict_refuses_the_whole_file(database_url: str, tmp_path: Path) -> None:
    """With --strict one bad row rejects the whole file, films included."""
    with pytest.raises(InvalidInput, match="line 3"):
        run(database_url, write_release(tmp_path / "r", "1,10,4,100\n1,11,9,100\n"), strict=True)
    assert contents(database_url) == []
    assert PostgresRatingImport(database_url).scale() is None


def test_another_scale_is_refused(database_url: str, tmp_path: Path) -> None:
    """A file on another scale is refused."""
    run(database_url, write_release(tmp_path / "a", "1,10,4,100\n"))
    with pytest.raises(InvalidInput, match=r"0\.5 to 5"):
        run(database_url, write_release(tmp_path / "b", "2,10,8,100\n"), scale=RatingScale(0, 10))
    assert len(contents(database_url)) == 1


def test_an_assumed_scale_that_does_not_fit_is_refused(database_url: str, tmp_path: Path) -> None:
    """A release on ten points with the file names of half stars loses no rows in silence; stating the scale decides."""
    ratings = "".join(f"{user},10,{1 + user % 10},{10_000 + user}\n" for user in range(6000))
    release = write_release(tmp_path / "r", ratings)
    with pytest.raises(InvalidInput, match=r"3,000 of 6,000 .* 1 to 10.*--scale 1-10"):
        run(database_url, release)
    assert contents(database_url) == []
    assert not (tmp_path / "rejects.csv").exists()
    assert run(database_url, release, scale=RatingScale(0.5, 5)).n_rejected == 3000


def test_a_file_without_a_scale_does_not_take_the_one_of_the_database(database_url: str, tmp_path: Path) -> None:
    """Ratings of 1 to 5 would be stored as ratings of ten points; the message names the stored scale."""
    run(database_url, write_release(tmp_path / "a", "1,10,4,100\n"), scale=RatingScale(1, 10))
    path = tmp_path / "votes.csv"
    path.write_text("user_id,movie_id,rating,rated_at\n2,10,5,100\n")
    with pytest.raises(InvalidInput, match=r"--scale 1-10"):
        run(database_url, path)
    assert len(contents(database_url)) == 1


def test_ratings_are_not_mixed_with_the_demo(database_url: str, tmp_path: Path) -> None:
    """A database with the demo ratings takes no others unless that is stated; the demo itself is imported again."""
    release = open_source(write_release(tmp_path / "r", "1,10,4,100\n"))
    target = PostgresRatingImport(database_url)
    reject = partial(write_rejects, tmp_path / "rejects.csv")
    assert not target.holds_demo()
    import_ratings(release, target.scale(), partial(target.write, is_demo=True), reject)
    assert target.holds_demo()
    with pytest.raises(Conflict, match="--beside-demo"):
        import_ratings(release, target.scale(), target.write, reject, mixes_with_demo=target.holds_demo())
    import_ratings(release, target.scale(), target.write, reject)
    assert target.holds_demo()


def test_a_demo_of_an_earlier_release_is_recognised(database_url: str, tmp_path: Path) -> None:
    """The migration marks a database that holds the first and the last rating of the demo."""
    run(database_url, write_release(tmp_path / "r", "1,31,2.5,1260759144\n671,6565,3.5,1074784724\n"))
    migration = next(migration for migration in migrations() if migration.name == "0026_demo.sql")
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE cineclub.catalogue DROP COLUMN holds_demo")
        connection.execute(migration.sql.encode())
    assert PostgresRatingImport(database_url).holds_demo()


def test_ids_are_integers_only_as_long_as_all_are(database_url: str, tmp_path: Path) -> None:
    """One text id makes all ids of the catalogue text for good."""
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
    """An import into the owner's views is refused before anything is read."""
    source = open_source(write_release(tmp_path / "r", "1,10,4,100\n"))
    target = PostgresRatingImport(database_url, is_writable=False)
    with pytest.raises(ReadOnlySource):
        import_ratings(source, target.scale(), target.write, partial(write_rejects, tmp_path / "rejects.csv"))


def test_an_export_is_imported_again_without_a_difference(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    """Ratings, times, films and the scale survive an export and an import."""
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
