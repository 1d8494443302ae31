"""Make the frozen files anew: ``python tests/frozen/freeze.py``, from the release that is to be frozen.

What is in ``data`` was made by 293aa4c and stays: later releases are compared with it. It was made through public
surfaces alone, the command line and HTTP, from generated ratings. A run takes about six minutes.
"""

import gzip
import hashlib
import json
import lzma
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frozen_requests import READ_FIRST, Request, of_any_version, of_version
from frozen_service import DATA, Place, Service, serving
from generated_world import write_movielens
from public_names import METRICS_SECONDS, columns_with_types, metrics_with_types, settings_with_defaults

MODELS = ("popular", "bias", "knn", "svd", "bayesian_mf", "ease", "slist", "ials", "blend", "random")
"""One training each, so that version 1 is of the first model and so on."""

SERVED = (6, 1, 2, 3, 4, 5, 7, 8, 9)
"""Whose answers are kept; version 6 serves when the state is kept, and random ones say nothing."""

SHADOWED = {"CINECLUB_SHADOW": "challenger", "CINECLUB_SHADOW_SHARE": "1"}
SCOPES = {"admin": "read,write,admin", "reader": "read", "revoked": "read,write"}
ERASED_USER, ERASED_BEFORE = "251", "knn"
BROKEN, BEST, REJECTED, CHALLENGER = 10, 6, 4, 7
REPORTED_MODELS = "popular,bias,knn,ease"
DOCUMENTS = (
    ("models", "--json"),
    ("models", "show", "6", "--json"),
    ("drift", "history", "--json"),
    ("recommend", "5", "--top-n", "7", "--json"),
    ("keys", "list"),
)
N_SHOWN, N_RATED = 60, 25


def main() -> None:
    """Live through a history, keep it, and ask it everything."""
    if DATA.exists():
        sys.exit(f"{DATA} is there: what is frozen is not frozen again; move it away to make another")
    DATA.mkdir()
    with tempfile.TemporaryDirectory(prefix="cineclub-freeze-") as folder:
        base = Path(folder)
        base.chmod(0o711)
        lived = Place(base / "home")
        secrets = _live(lived, base / "ratings")
        backup = base / "backup.tar"
        lived.run("backup", str(backup))
        _keep_state(backup, lived.home)
        _write_json("secrets.json", secrets)
        _keep_responses(_restored(base / "answering", backup, {"CINECLUB_REQUIRE_KEYS": "true"}), secrets["admin"])
        _keep_names(_restored(base / "names", backup))
        _keep_documents(_restored(base / "documents", backup), base / "export")
        report = _restored(base / "training", backup).document("train", "--models", REPORTED_MODELS)
        _write_json("report.json", report)
    _keep_helps(Place(Path(tempfile.gettempdir())))


def _live(place: Place, ratings: Path) -> dict[str, str]:
    """Let trainings, promotions, answers, outcomes, erasing and drift happen; return the keys that were made."""
    write_movielens(ratings)
    place.run("import", str(ratings))
    place.document("train", "--models", MODELS[0])
    secrets = {name: place.run("keys", "create", name, "--scopes", scopes).strip() for name, scopes in SCOPES.items()}
    place.run("keys", "revoke", str(list(SCOPES).index("revoked") + 1))
    for name in MODELS[1:]:
        if name == ERASED_BEFORE:
            _erase(place)
        place.document("train", "--models", name, "--reason", f"frozen: {name}")
    _decide(place)
    shadowed = Place(place.home, settings=SHADOWED)
    with serving(shadowed, "--worker"):
        _wait_for_copy_of_challenger(place.home)
    with serving(shadowed) as service:
        time.sleep(5)  # the challenger is loaded beside the requests
        _recommend_and_rate(service)
    place.run("drift", "pin")
    for window in ((), ("--until", "newest"), ("--until", "2026-11-25T00:00:00Z", "--window", "14d")):
        with_any_verdict(place, "drift", *window)
    return secrets


def with_any_verdict(place: Place, *arguments: str) -> None:
    """Check drift; OK, an alert and too little data are all fine."""
    for status in (0, 3, 4):
        try:
            place.run(*arguments, status=status)
        except AssertionError:
            continue
        return
    sys.exit(f"cineclub {' '.join(arguments)} failed")


def _erase(place: Place) -> None:
    """Erase a user, and cancel the training that follows."""
    printed = place.run("erase", ERASED_USER, "--yes")
    training_id = re.findall(r"training ([0-9a-f-]{36})", printed)[0]
    with serving(place) as service:
        assert service.call("DELETE", f"/training/{training_id}")[0] == 200


def _decide(place: Place) -> None:
    """Promote by hand, be refused a version that is broken for a moment, and roll back."""
    place.run("promote", str(BEST), "--reason", "a person likes its lists")
    for array in place.home.glob("artifacts/*/artifacts/**/model.*.npy"):
        manifest = json.loads((array.parent / "manifest.json").read_text("utf-8"))
        if '"random"' in json.dumps(manifest):
            aside = array.with_suffix(".aside")
            array.rename(aside)
            place.run("promote", str(BROKEN), "--reason", "it is broken", status=1)
            aside.rename(array)
            break
    place.run("promote", str(REJECTED), "--reason", "by mistake")
    place.run("rollback", "--reason", "that was a mistake")


def _wait_for_copy_of_challenger(home: Path) -> None:
    """Wait until the worker has copied the challenger."""
    while not list(home.glob(f"models/{CHALLENGER}-*/manifest.json")):
        time.sleep(0.1)


def _recommend_and_rate(service: Service) -> None:
    """Answer users, and let some of them rate what they were shown."""
    for user in range(1, N_SHOWN + 1):
        status, body = service.call("POST", "/predict/", {"user_id": user, "top_n": 8})
        assert status == 200
        shown = body["recommendations"]
        if user <= N_RATED and shown:
            rated = [
                {"user_id": user, "movie_id": recommendation["movie_id"], "rating": 3.0 + user % 5 / 2}
                for recommendation in shown[:2]
            ]
            assert service.call("POST", "/ratings/", rated)[0] == 200
    assert service.call("POST", "/predict/", {"user_id": "somebody-new"})[0] == 200
    assert service.call("POST", "/predict/", {"ratings": [{"movie_id": 3, "rating": 5}]})[0] == 200
    assert (
        service.call(
            "POST", "/ratings/", {"user_id": 30, "movie_id": 12, "rating": 4.5, "rated_at": "2026-11-27T10:00:00Z"}
        )[0]
        == 200
    )
    assert service.call("DELETE", "/ratings/30/12")[0] == 204


def _keep_state(backup: Path, home: Path) -> None:
    """Keep the backup's files and what else the state folder holds, but PostgreSQL's, in an archive of xz."""
    with (
        tarfile.open(DATA / "state.tar.xz", "w:xz", preset=9 | lzma.PRESET_EXTREME) as archive,
        tarfile.open(backup) as made,
    ):
        for entry in sorted(
            made.getmembers(), key=lambda member: (Path(member.name).suffix, Path(member.name).name, member.name)
        ):
            archive.addfile(entry, made.extractfile(entry) if entry.isfile() else None)
        for left in sorted(home.iterdir()):
            if left.name not in {"postgres", *{Path(member.name).parts[0] for member in made.getmembers()}}:
                archive.add(left, left.name)


def _restored(home: Path, backup: Path, settings: dict[str, str] | None = None) -> Place:
    """Return a place with a copy of the state."""
    home.mkdir()
    home.chmod(0o711)
    place = Place(home, settings=settings)
    place.run("restore", str(backup))
    return place


def _keep_responses(place: Place, key: str) -> None:
    """Ask the copy everything, in the order in which the test does."""
    with (
        serving(place) as service,
        gzip.open(DATA / "answers.jsonl.gz", "wt", encoding="utf-8", compresslevel=9) as file,
    ):
        service.client.headers["Authorization"] = f"Bearer {key}"
        _write_json("openapi.json", service.call("GET", "/openapi.json")[1])
        for version, request in _requests():
            if version is not None and service.call("GET", "/models/production")[1]["version"] != version:
                service.serve_version(version, "to be asked")
            status, body = service.call(*request)
            line = {"version": version, **request._asdict(), "status": status, "answer": without_chance(body)}
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def _requests() -> Iterator[tuple[int | None, Request]]:
    """Give every request with the version that must serve, None for the one that served when the state was kept."""
    yield from ((None, Request("GET", path)) for path in READ_FIRST)
    yield from ((None, request) for request in of_any_version())
    for version in SERVED:
        yield from ((version, request) for request in of_version(version))


def without_chance(document: Any) -> Any:
    """Return an answer without the ids that are drawn for it."""
    if isinstance(document, list):
        return [without_chance(entry) for entry in document]
    if isinstance(document, dict):
        return {name: without_chance(value) for name, value in document.items() if name != "recommendation_id"}
    return document


def _keep_names(place: Place) -> None:
    """Keep the names of settings, metrics and columns."""
    with serving(place) as service:
        time.sleep(METRICS_SECONDS)
        state = next(place.home.glob("postgres/*/password")).parent
        password = (state / "password").read_text("utf-8").strip()
        names = {
            "settings": settings_with_defaults(),
            "metrics": metrics_with_types(service),
            "columns": columns_with_types(f"postgresql://cineclub:{password}@/cineclub?host={state}/socket"),
        }
    _write_json("names.json", names)


def _keep_documents(place: Place, export: Path) -> None:
    """Keep what commands print, and what an export holds."""
    printed: dict[str, Any] = {}
    for arguments in DOCUMENTS:
        text = place.run(*arguments)
        printed[" ".join(arguments)] = without_chance(json.loads(text)) if "--json" in arguments else text
    place.run("export", str(export))
    printed["export"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(export.iterdir())}
    _write_json("documents.json", printed)


def _keep_helps(place: Place) -> None:
    """Keep the help of every command and of those below it."""
    (DATA / "help").mkdir()
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        command = waiting.pop()
        text = place.run(*command, "--help")
        (DATA / "help" / f"{'-'.join(('cineclub', *command))}.txt").write_text(text, "utf-8")
        _, _, commands = text.partition("\nCommands:\n")
        waiting += [(*command, name) for name in re.findall(r"^  (\S+)", commands, re.MULTILINE)]


def _write_json(name: str, document: Any) -> None:
    """Write one document."""
    (DATA / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
