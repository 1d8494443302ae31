"""The deployment files: existing files, settings and variables, and no secrets."""

import configparser
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cineclub.settings import Settings
from debian_tools import run_tool
from ops.files import FOLDER

ROOT = FOLDER.parent
UNITS = sorted((FOLDER / "systemd").iterdir())
COMMAND = "/opt/cineclub/.venv/bin/cineclub"
SECRETS = {"./secrets/metrics_key", "./secrets/alert_webhook"}


def compose() -> dict[str, Any]:
    """Return the compose file."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text())
    return document


def test_every_setting_that_is_named_exists() -> None:
    """Every named variable is a setting of cineclub."""
    known = {Settings.variable_of(name) for name in Settings.model_fields}
    texts = [
        path.read_text() for path in (*UNITS, *(FOLDER / name for name in ("Dockerfile", "compose.yml", "env.example")))
    ]
    texts.append((ROOT / "docs" / "operations.md").read_text())
    named = {name for text in texts for name in re.findall(r"\bCINECLUB_[A-Z_]+\b", text)}
    assert named
    assert named - known == set()


def test_every_file_that_compose_mounts_exists() -> None:
    """Every mounted file exists, except the two secrets that the guide creates and git ignores."""
    document = compose()
    mounted = [
        volume.split(":")[0]
        for service in document["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(mounted) >= 5
    assert [path for path in mounted if not (FOLDER / path).exists()] == []
    assert {secret["file"] for secret in document["secrets"].values()} == SECRETS
    guide = (ROOT / "docs" / "operations.md").read_text()
    assert all(path.removeprefix("./") in guide for path in SECRETS)
    assert {"ops/.env", "ops/secrets/"} <= set((ROOT / ".gitignore").read_text().split())


def test_every_variable_of_compose_is_in_the_example_and_no_password_is() -> None:
    """Required variables are empty in the example, and none has an insecure default."""
    text = (FOLDER / "compose.yml").read_text()
    lines = (line for line in (FOLDER / "env.example").read_text().splitlines() if "=" in line and line[0] != "#")
    example = dict(line.split("=", 1) for line in lines)
    variables = dict(re.findall(r"\$\{(\w+)(:[?-])?", text))
    assert set(variables) == set(example)
    for name, how in variables.items():
        if "PASSWORD" in name:
            assert (how, example[name]) == (":?", "")


def test_compose_passes_on_every_setting_of_drift_with_its_default() -> None:
    """Drift settings in ops/.env reach the service, with the same defaults."""
    passed = compose()["services"]["api"]["environment"]
    names = [name for name in Settings.model_fields if name.startswith("drift_")]
    defaults = {name: str(Settings.model_fields[name].default).removesuffix(".0") for name in names}
    expected = {f"CINECLUB_{name.upper()}": f"${{CINECLUB_{name.upper()}:-{defaults[name]}}}" for name in names}
    assert {name: text for name, text in passed.items() if name in expected} == expected
    assert passed["CINECLUB_ALERT_WEBHOOK"] == "${CINECLUB_ALERT_WEBHOOK:-}"


def test_every_service_of_compose_is_healthy_by_a_check_and_hidden_from_others() -> None:
    """Each service has a health check and named volumes, and listens on this machine alone."""
    document = compose()
    assert set(document["services"]) == {"postgres", "api", "worker", "mlflow", "prometheus", "alertmanager", "grafana"}
    for name, service in document["services"].items():
        assert "healthcheck" in service or name == "api", name  # the image has the API's own
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        volumes = [volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")]
        assert volumes, name
        assert set(volumes) <= set(document["volumes"]), name
        for waited in service.get("depends_on", {}):
            assert waited in document["services"], name
        assert set(service.get("secrets", ())) <= set(document["secrets"]), name


def test_the_image_is_pinned_and_runs_as_nobody_in_particular() -> None:
    """The image's files exist, packages are checked by hash, and the user is not root."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if line and line[0] != "#"]
    copied = [
        path for line in lines if line.startswith("COPY ") and "--from" not in line for path in line.split()[1:-1]
    ]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert [path for path in copied if f"!{path}" not in ignored] == []
    assert any("--require-hashes" in line for line in lines)
    assert "USER cineclub" in lines
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert not re.search(r"(?i)password|secret|token", "\n".join(lines))


def test_both_images_have_the_same_mlflow_in_them() -> None:
    """Both images have the same version of MLflow, since another one would migrate the tables."""
    locks = [(FOLDER / name).read_text() for name in ("requirements.lock", "requirements-mlflow.lock")]
    pins = re.findall(r"^(mlflow[\w-]*)==(\S+)", "\n".join(locks), re.MULTILINE)
    assert {"mlflow", "mlflow-skinny"} <= {name for name, _ in pins}
    assert len({version for _, version in pins}) == 1
    assert not re.search(r"^(pytest|ruff|mypy)==", "\n".join(locks), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_the_units_run_cineclubs_commands(unit: Path) -> None:
    """The units are well formed and run cineclub's commands as its own user."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    assert "Unit" in parser
    if unit.suffix == ".service":
        service = parser["Service"]
        assert service["ExecStart"].startswith(f"{COMMAND} ")
        assert service["User"] == "cineclub"
        assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("true", "strict")


def test_systemd_accepts_the_units_where_it_is_there(tmp_path: Path) -> None:
    """`systemd-analyze` accepts the units where it is installed."""
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(COMMAND, sys.executable))
    if shutil.which("systemd-analyze"):
        run_tool("systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS))
