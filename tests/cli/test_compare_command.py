"""The command `cineclub models compare`."""

import json

import psycopg
from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings
from registry_bench import write_ratings


def test_two_versions_are_compared_on_80_columns_and_as_json(connected: Settings) -> None:
    """The table names both versions and the reason, nothing is promoted; an invalid comparison exits with 1."""
    write_ratings(storage.database_url(connected))
    reports = []
    for model in ("ease", "bias"):
        trained = cineclub(connected.home, "train", "--models", model, "--json")
        assert trained.returncode == 0, trained.stderr
        reports.append(json.loads(trained.stdout))
    first, second = (str(report["version"]) for report in reports)
    promoted = promotions_of(connected)

    shown = cineclub(connected.home, "models", "compare", first, second)
    assert shown.returncode == 0, shown.stderr
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS
    assert f"A: version {first}, ease(" in shown.stdout
    assert "recipe refitted" in shown.stdout
    verdict = reports[1]["challenger_verdict"]
    assert f"challenger of version {first}: {verdict['verdict']}" in shown.stdout
    assert verdict["reason"] in " ".join(shown.stdout.split())

    document = json.loads(cineclub(connected.home, "models", "compare", first, second, "--json").stdout)
    assert (document["verdict"], document["reason"]) == (verdict["verdict"], verdict["reason"])
    ndcg = document["metrics"][0]
    assert ndcg["difference"] == verdict["interval"]["mean"]
    assert promotions_of(connected) == promoted

    for arguments, sentence in (((first, first), "compared with itself"), ((first, "99"), "there is no version 99")):
        refused = cineclub(connected.home, "models", "compare", *arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith("error: ")
        assert sentence in " ".join(refused.stderr.split())
    models = cineclub(connected.home, "models")
    assert (models.returncode, "PROMOTE" in models.stdout) == (0, True)


def promotions_of(settings: Settings) -> list[tuple[int, str]]:
    """Return the promotions so far."""
    with psycopg.connect(storage.database_url(settings)) as connection:
        return connection.execute("SELECT version, verdict FROM cineclub.promotions ORDER BY id").fetchall()
