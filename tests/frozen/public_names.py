"""Public names that no document lists: settings with their defaults, metrics with their types, columns of tables."""

import os
import re
import subprocess
import time
from collections.abc import Collection

import psycopg
from frozen_service import CINECLUB, Service

SETTING = re.compile(r"^([A-Z][A-Z0-9_]+)=(.*?)(?:  \(default\))?$", re.MULTILINE)
HOME = "CINECLUB_HOME"
METRICS_SECONDS = 15.0
METRIC = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable
FROM information_schema.columns WHERE table_schema = 'cineclub'
"""


def settings_with_defaults() -> dict[str, str]:
    """Return every setting with its default; the folder of all state differs by machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CINECLUB_", "MLFLOW_"))}
    printed = subprocess.run([CINECLUB, "settings"], env=environment, capture_output=True, text=True, check=True).stdout
    return {name: "" if name == HOME else default for name, default in SETTING.findall(printed)}


def metrics_with_types(service: Service) -> dict[str, str]:
    """Return every metric that the service shows, with its type; some are there only seconds after it has started."""
    return dict(METRIC.findall(service.client.get("/metrics").text))


def metrics_among(names: Collection[str], service: Service) -> dict[str, str]:
    """Return those metrics of some names that the service shows, waiting for late ones."""
    deadline = time.monotonic() + METRICS_SECONDS
    while not set(names) <= set(shown := metrics_with_types(service)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {name: kind for name, kind in shown.items() if name in names}


def columns_with_types(database_url: str) -> dict[str, str]:
    """Return every column of every table of ours, with its type and whether it may be null."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(COLUMNS).fetchall()
    return {f"{table}.{column}": f"{kind}, nullable {nullable}" for table, column, kind, nullable in sorted(rows)}
