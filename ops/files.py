"""The files of Prometheus, Alertmanager and Grafana, as text by path."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ops.alerts import ALERTS, GROUP
from ops.dashboards import DASHBOARDS
from ops.panels import SOURCE_UID

FOLDER = Path(__file__).parent
NOTE = "# Written by `make dashboards` from ops/*.py: change it there.\n"
RULES = "prometheus/rules.yml"
CASES = "prometheus/rules_test.yml"
SECRETS = "/run/secrets"


def files() -> dict[str, str]:
    """Return every written file by its path below this folder."""
    documents: dict[str, Mapping[str, Any]] = {
        "prometheus/prometheus.yml": prometheus(),
        RULES: {"groups": [{"name": GROUP, "rules": [alert.rule() for alert in ALERTS]}]},
        CASES: rule_cases(),
        "alertmanager/alertmanager.yml": alertmanager(),
        "grafana/provisioning/datasources/prometheus.yml": grafana_source(),
        "grafana/provisioning/dashboards/cineclub.yml": grafana_folder(),
    }
    pages = {f"grafana/dashboards/{dashboard.name}.json": dashboard.to_json(DASHBOARDS) for dashboard in DASHBOARDS}
    return {
        **{
            path: NOTE + yaml.safe_dump(dict(document), sort_keys=False, width=1000)
            for path, document in documents.items()
        },
        **{path: json.dumps(page, indent=1) + "\n" for path, page in pages.items()},
    }


def prometheus() -> dict[str, Any]:
    """Return the configuration of Prometheus: its targets, rules and Alertmanager."""
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": "cineclub",
                "authorization": {"credentials_file": f"{SECRETS}/metrics_key"},
                "static_configs": [{"targets": ["api:8000"]}],
            },
            {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
        ],
    }


def rule_cases() -> dict[str, Any]:
    """Return the cases of every alert, for promtool."""
    cases = [case for alert in ALERTS for case in alert.cases()]
    return {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}


def alertmanager() -> dict[str, Any]:
    """Return the configuration of Alertmanager: receivers and inhibitions."""
    return {
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
        },
        "receivers": [
            {
                "name": "webhook",
                "webhook_configs": [{"url_file": f"{SECRETS}/alert_webhook", "send_resolved": True}],
            }
        ],
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="CineclubDatabaseAway"'],
                "target_matchers": ['alertname=~"CineclubErrorRate|CineclubTrainingsUnknown|CineclubLogDrops"'],
            }
        ],
    }


def grafana_source() -> dict[str, Any]:
    """Return the data source of Grafana."""
    source = {
        "name": "cineclub",
        "type": "prometheus",
        "uid": SOURCE_UID,
        "access": "proxy",
        "url": "http://prometheus:9090",
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": "15s", "httpMethod": "POST"},
    }
    return {"apiVersion": 1, "datasources": [source]}


def grafana_folder() -> dict[str, Any]:
    """Return the dashboard provider of Grafana."""
    provider = {
        "name": "cineclub",
        "folder": "cineclub",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": "/var/lib/grafana/dashboards"},
    }
    return {"apiVersion": 1, "providers": [provider]}
