"""The commands `cineclub models` and `models show`."""

import json

from command_line import COLUMNS, cineclub

from cineclub.bootstrap import storage
from cineclub.settings import Settings
from registry_bench import write_ratings


def test_versions_history_and_refusals_on_80_columns_and_as_json(connected: Settings) -> None:
    """Versions with verdicts, production, promotions and refusals are listed; one version in detail."""
    write_ratings(storage.database_url(connected))
    reports = []
    for models in ("popular", "ease", "bias"):
        trained = cineclub(connected.home, "train", "--models", models, "--json")
        assert trained.returncode == 0, trained.stderr
        reports.append(json.loads(trained.stdout))
    verdicts = [report["challenger_verdict"]["verdict"] for report in reports]
    serving = str(storage.promotions(connected).newest().version)
    storage.promotions(connected).refuse(1, "person", "popularity.npy has 12 bytes instead of 16")

    completed = cineclub(connected.home, "models")
    assert completed.returncode == 0, completed.stderr
    assert max(len(line) for line in completed.stdout.splitlines()) <= COLUMNS
    assert next(line for line in completed.stdout.splitlines() if "serves" in line).split()[0] == serving
    assert all(verdict in completed.stdout for verdict in verdicts)
    assert "popularity.npy has 12 bytes" in " ".join(completed.stdout.split())

    history = cineclub(connected.home, "models", "--history")
    assert "PROMOTE by gate" in " ".join(history.stdout.split())
    assert max(len(line) for line in history.stdout.splitlines()) <= COLUMNS

    document = json.loads(cineclub(connected.home, "models", "--json", "--limit", "2").stdout)
    assert str(document["serving"]) == serving
    assert len(document["versions"]) == 2
    assert document["refusals"][0]["reason"].startswith("popularity.npy")

    shown = cineclub(connected.home, "models", "show", serving)
    assert shown.returncode == 0, shown.stderr
    assert max(len(line) for line in shown.stdout.splitlines()) <= COLUMNS
    for fact in ("ndcg_at_10", "library_versions", "snapshot", "seed", "served"):
        assert fact in shown.stdout
    assert json.loads(cineclub(connected.home, "models", "show", "1", "--json").stdout)["refused"]
    unknown = cineclub(connected.home, "models", "show", "99")
    assert (unknown.returncode, "there is no version 99" in unknown.stderr) == (1, True)

    examined = cineclub(connected.home, "doctor")
    assert "1 promotions refused in 7 days, last version 1" in " ".join(examined.stdout.split())


def test_versions_are_listed_while_mlflow_is_away(connected: Settings) -> None:
    """Versions are read from PostgreSQL alone, without importing MLflow."""
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "PYTHONPROFILEIMPORTTIME": "1"}
    for arguments in ((), ("--history",), ("--json",)):
        completed = cineclub(connected.home, "models", *arguments, **away)
        assert completed.returncode == 0, completed.stderr
        imported = {line.rpartition("|")[2].strip() for line in completed.stderr.splitlines()}
        assert "cineclub.cli.models" in imported
        assert not [name for name in imported if name.partition(".")[0] == "mlflow"]
