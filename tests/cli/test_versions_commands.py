"""The commands `cineclub reproduce` and `erase`."""

import json

import psycopg
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings
from registry_bench import write_ratings


def test_a_trained_version_is_reproduced_until_a_person_in_it_is_erased(connected: Settings) -> None:
    """An equal version exits with 0; after an erasure it cannot be fitted again, which exits with 4 and a reason."""
    write_ratings(storage.database_url(connected))
    trained = cineclub(connected.home, "train", "--models", "ease,bias", "--json")
    assert trained.returncode == 0, trained.stderr
    version = str(json.loads(trained.stdout)["version"])

    equal = cineclub(connected.home, "reproduce", version)
    assert equal.returncode == 0, equal.stderr
    assert "the same, byte for byte" in equal.stdout
    assert max(len(line) for line in equal.stdout.splitlines()) <= COLUMNS
    assert json.loads(cineclub(connected.home, "reproduce", version, "--json").stdout)["outcome"] == "equal"

    unasked = cineclub(connected.home, "erase", "5")
    assert unasked.returncode == 1
    erased = cineclub(connected.home, "erase", "5", "--yes")
    assert erased.returncode == 0, erased.stderr
    assert "snapshots rewritten here: 1;" in erased.stdout
    assert max(len(line) for line in erased.stdout.splitlines()) <= COLUMNS
    with psycopg.connect(storage.database_url(connected)) as connection:
        assert connection.execute("SELECT FROM cineclub.users WHERE external_id = '5'").fetchone() is None

    gone = cineclub(connected.home, "reproduce", version, "--json")
    assert gone.returncode == 4
    assert "a user in it was erased" in json.loads(gone.stdout)["reason"]
    unknown = cineclub(connected.home, "reproduce", "99")
    assert unknown.returncode == 4
    assert "version 99" in unknown.stderr
    nobody = cineclub(connected.home, "erase", "nobody", "--yes")
    assert (nobody.returncode, nobody.stderr) == (1, "error: there is no user nobody: nothing was erased\n")
