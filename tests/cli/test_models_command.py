"""`cineclub models` and `models show`, as a person uses them."""

import json

from command_line import COLUMNS, cineclub

from cineclub import bootstrap
from cineclub.settings import Settings
from registry_bench import write_ratings


def test_versions_history_and_refusals_on_80_columns_and_as_json(connected: Settings) -> None:
    """Who serves, what the gate said of each, what served before and what was refused; all of one version."""
    write_ratings(bootstrap.database_url(connected))
    reports = []
    for models in ("popular", "ease", "bias"):
        trained = cineclub(connected.home, "train", "--models", models, "--json")
        assert trained.returncode == 0, trained.stderr
        reports.append(json.loads(trained.stdout))
    verdicts = [report["challenger_verdict"]["verdict"] for report in reports]
    serving = str(bootstrap.promotions(connected).newest().version)
    bootstrap.promotions(connected).versions.refuse(1, "person", "popularity.npy has 12 bytes instead of 16")

    listed = cineclub(connected.home, "models")
    assert listed.returncode == 0, listed.stderr
    assert max(len(line) for line in listed.stdout.splitlines()) <= COLUMNS
    assert next(line for line in listed.stdout.splitlines() if "serves" in line).split()[0] == serving
    assert all(verdict in listed.stdout for verdict in verdicts)
    assert "popularity.npy has 12 bytes" in " ".join(listed.stdout.split())

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
    """PostgreSQL alone is asked: MLflow is not even imported."""
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "PYTHONPROFILEIMPORTTIME": "1"}
    for arguments in ((), ("--history",), ("--json",)):
        listed = cineclub(connected.home, "models", *arguments, **away)
        assert listed.returncode == 0, listed.stderr
        imported = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
        assert "cineclub.cli.models" in imported
        assert not [name for name in imported if name.partition(".")[0] == "mlflow"]
