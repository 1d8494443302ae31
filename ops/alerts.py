"""What somebody is woken for or told in the morning: alert rules, each with a case where it fires and one where not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.dashboards import ANSWER_SECONDS, FAILED, REQUESTS

Severity = Literal["critical", "warning"]
Shown = Literal["humanize", "humanizePercentage", "humanizeDuration"]
GROUP = "cineclub"
GUIDE = "docs/operations.md"
COLD_START_PEOPLE = 'strategy="popular",model_version!="none"'


@dataclass(frozen=True, slots=True)
class Case:
    """What Prometheus has read each minute, and whether the alert then fires.

    Attributes:
        series: values by series, in promtool's notation.
        at: when it is looked.
        value: how the alert shows the value it fires at; None where it does not fire.
        labels: labels of the series that the alert keeps.
    """

    series: Mapping[str, str]
    at: str
    value: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule: it fires once ``measured`` has been beyond the ``limit``, while the ``guard`` held, for ``minutes``.

    Attributes:
        name: without the project's, which is put before it.
        severity: critical wakes somebody.
        measured: an expression that has a value at any time.
        limit: a comparison with a number.
        minutes: for how long.
        summary: what is the matter; ``{value}`` stands for the measured value.
        what_to_do: where to look first.
        fires: a case in which it fires.
        is_silent: one, close to the other, in which it does not.
        guard: a further condition, an expression; empty for none.
        shown: how the value is written.
        more: further cases, of either kind.
    """

    name: str
    severity: Severity
    measured: str
    limit: str
    minutes: int
    summary: str
    what_to_do: str
    fires: Case
    is_silent: Case
    guard: str = ""
    shown: Shown = "humanize"
    more: tuple[Case, ...] = ()

    @property
    def full_name(self) -> str:
        """The name that people see."""
        return f"Cineclub{self.name}"

    @property
    def expression(self) -> str:
        """The expression that is empty unless something is the matter."""
        beyond = f"{self.measured} {self.limit}"
        return f"({beyond}) and on () ({self.guard})" if self.guard else beyond

    def rule(self) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        return {
            "alert": self.full_name,
            "expr": self.expression,
            "for": f"{self.minutes}m",
            "labels": {"severity": self.severity},
            "annotations": self._annotations(f"{{{{ $value | {self.shown} }}}}"),
        }

    def cases(self) -> list[dict[str, Any]]:
        """Return every case as promtool reads it."""
        more = [self._case(f"{nth}th case", case) for nth, case in enumerate(self.more, 3)]
        return [self._case("fires", self.fires), self._case("is silent", self.is_silent), *more]

    def _annotations(self, value: str) -> dict[str, str]:
        """Return what people read, with a value."""
        return {
            "summary": self.summary.format(value=value),
            "description": self.what_to_do,
            "runbook": f"{GUIDE}#{self.full_name.lower()}",
        }

    def _case(self, name: str, case: Case) -> dict[str, Any]:
        """Return one case."""
        expected = [] if case.value is None else [self._expected(case, case.value)]
        return {
            "name": f"{self.full_name} {name}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [{"eval_time": case.at, "alertname": self.full_name, "exp_alerts": expected}],
        }

    def _expected(self, case: Case, value: str) -> dict[str, Any]:
        """Return the alert that fires."""
        labels = {"severity": self.severity, **case.labels}
        return {"exp_labels": labels, "exp_annotations": self._annotations(value)}


def _requests(status: str) -> str:
    """Return the series of recommendations that ended with a status."""
    return f'cineclub_http_requests_total{{route="/predict/",status="{status}"}}'


def _answers(strategy: str) -> str:
    """Return the series of answers of a strategy."""
    return f'cineclub_predictions_total{{strategy="{strategy}",model_version="3",degraded="false"}}'


def _latency(le: str) -> str:
    """Return the series of recommendations that took at most so many seconds."""
    return f'cineclub_http_request_duration_seconds_bucket{{route="/predict/",le="{le}"}}'


SERVICE_ALERTS = (
    Alert(
        "Down",
        "critical",
        'min(up{job="cineclub"})',
        "== 0",
        1,
        "Prometheus does not reach the API",
        "Is the process there, and does the key of Prometheus have the scope metrics? Look into its log.",
        Case({'up{job="cineclub"}': "1x3 0x10"}, "10m", "0"),
        Case({'up{job="cineclub"}': "1x10"}, "10m"),
    ),
    Alert(
        "ErrorRate",
        "critical",
        f"(sum(rate({FAILED}[5m])) or vector(0)) / sum(rate({REQUESTS}[5m]))",
        "> 0.05",
        5,
        "{value} of the requests fail with a status of 500 and above",
        "The log names the cause beside each error_id; 503 says that PostgreSQL is away: cineclub doctor.",
        Case({_requests("200"): "0+54x20", _requests("500"): "0+6x20"}, "15m", "10%"),
        Case({_requests("200"): "0+58x20", _requests("500"): "0+2x20"}, "15m"),
        shown="humanizePercentage",
    ),
    Alert(
        "SlowAnswers",
        "warning",
        f"histogram_quantile(0.99, sum by (le) (rate({ANSWER_SECONDS}[5m])))",
        "> 0.5",
        10,
        "One of a hundred recommendations takes {value} and more",
        "Look at the wait for connections and at the processor: more workers, or fewer trainings at this hour?",
        Case({_latency("0.5"): "0+90x30", _latency("1.0"): "0+100x30", _latency("+Inf"): "0+100x30"}, "25m", "950ms"),
        Case({_latency("0.25"): "0+100x30", _latency("0.5"): "0+100x30", _latency("+Inf"): "0+100x30"}, "25m"),
        shown="humanizeDuration",
    ),
    Alert(
        "DatabaseAway",
        "critical",
        "min(cineclub_database_up)",
        "== 0",
        1,
        "PostgreSQL does not answer",
        "Answers come from memory, marked degraded; ratings and trainings are refused. cineclub doctor says more.",
        Case({"cineclub_database_up": "1x3 0x10"}, "8m", "0"),
        Case({"cineclub_database_up": "1x3 0 1x10"}, "8m"),
    ),
    Alert(
        "ConnectionsUsedUp",
        "warning",
        "sum(cineclub_database_pool_waiting)",
        "> 0",
        5,
        "{value} requests wait for a connection to PostgreSQL",
        "Something holds connections: look for slow statements in pg_stat_activity, or let more workers serve.",
        Case({"cineclub_database_pool_waiting": "0x3 4x10"}, "12m", "4"),
        Case({"cineclub_database_pool_waiting": "0x3 4 0x10"}, "12m"),
    ),
    Alert(
        "LogDrops",
        "warning",
        "sum(increase(cineclub_prediction_log_dropped_rows_total[10m]))",
        "> 0",
        0,
        "{value} answers of ten minutes were not logged",
        "Outcomes and drift lack them. Is PostgreSQL away or slow? Else raise CINECLUB_PREDICTION_LOG_SIZE.",
        Case({"cineclub_prediction_log_dropped_rows_total": "0+9x20"}, "10m", "90"),
        Case({"cineclub_prediction_log_dropped_rows_total": "7x20"}, "10m"),
    ),
    Alert(
        "ColdStartShare",
        "warning",
        f"(sum(rate(cineclub_predictions_total{{{COLD_START_PEOPLE}}}[30m])) or vector(0)) / "
        "sum(rate(cineclub_predictions_total[30m]))",
        "> 0.5",
        30,
        "{value} of the answers are popular films in place of a model's",
        "Do callers send the ids that ratings have? Does the version know enough people? Normal while Popular serves.",
        Case({_answers("popular"): "0+8x90", _answers("model"): "0+2x90"}, "80m", "80%"),
        Case({_answers("popular"): "0+4x90", _answers("model"): "0+6x90"}, "80m"),
        shown="humanizePercentage",
    ),
)

MODEL_ALERTS = (
    Alert(
        "NoModel",
        "critical",
        "max(cineclub_model_version)",
        "== 0",
        15,
        "No model answers",
        "Everybody gets popular films. Was there a training, and what did its gate say? cineclub models --history.",
        Case({"cineclub_model_version": "0x20"}, "16m", "0"),
        Case({"cineclub_model_version": "0x10 1x10"}, "16m"),
    ),
    Alert(
        "ModelTooOld",
        "warning",
        "(time() - max(cineclub_model_promoted_timestamp_seconds)) / 86400",
        "> 45",
        10,
        "The model that answers was promoted {value} days ago",
        "Do trainings run (CINECLUB_TRAINING_SCHEDULE)? Why does the gate keep it? cineclub models --history says.",
        Case(
            {"cineclub_model_promoted_timestamp_seconds": "-4320000x20", "cineclub_model_version": "3x20"},
            "15m",
            "50.01",
        ),
        Case({"cineclub_model_promoted_timestamp_seconds": "-4320000x20", "cineclub_model_version": "0x20"}, "15m"),
        "max(cineclub_model_version) > 0",
    ),
    Alert(
        "ModelNotLoaded",
        "warning",
        "sum(increase(cineclub_model_refusals_total[15m]))",
        "> 0",
        5,
        "A promoted version cannot be loaded: {value} tries in a quarter of an hour",
        "The former version answers on. Its copy is missing or damaged: is a worker running on the API's machine?",
        Case({"cineclub_model_refusals_total": "0+1x30"}, "25m", "15"),
        Case({"cineclub_model_refusals_total": "4x30"}, "25m"),
    ),
    Alert(
        "RejectedVersionServes",
        "warning",
        "max(cineclub_served_version_rejected)",
        "> 0",
        0,
        "A version serves that the gate rejected",
        "cineclub models --history says who promoted it and why; cineclub rollback lets the former version serve.",
        Case({"cineclub_served_version_rejected": "0x3 1x5"}, "5m", "1"),
        Case({"cineclub_served_version_rejected": "0x5"}, "3m"),
    ),
    Alert(
        "ProbationAlarm",
        "warning",
        "max(cineclub_probation_alarm)",
        "> 0",
        0,
        "People like the former version's lists better than those of the one that serves",
        "GET /monitoring/comparisons has the figures; cineclub rollback lets the former version serve.",
        Case({"cineclub_probation_alarm": "1x5"}, "3m", "1"),
        Case({"cineclub_probation_alarm": "0x5"}, "3m"),
    ),
)

TRAINING_ALERTS = (
    Alert(
        "TrainingFailed",
        "warning",
        'sum(increase(cineclub_trainings_total{outcome="failed"}[1h]))',
        "> 0",
        0,
        "A training failed",
        "GET /training/ has its error; the worker's log has the details.",
        Case({'cineclub_trainings_total{outcome="failed",trigger="schedule"}': "0x5 1x60"}, "20m", "1"),
        Case({'cineclub_trainings_total{outcome="failed",trigger="schedule"}': "6x60"}, "20m"),
    ),
    Alert(
        "HeartbeatLost",
        "critical",
        "max(cineclub_training_heartbeat_age_seconds)",
        "> 60",
        1,
        "The running training gave its last sign of life {value} ago",
        "Its worker is stuck or dead, and no other took over: is one running? Look into worker.log.",
        Case({"cineclub_training_heartbeat_age_seconds": "1 30 90+60x10"}, "6m", "5m 30s"),
        Case({"cineclub_training_heartbeat_age_seconds": "1 40 1x10"}, "6m"),
        shown="humanizeDuration",
    ),
    Alert(
        "NoWorker",
        "warning",
        "min(cineclub_worker_up)",
        "== 0",
        10,
        "No worker is there to run trainings",
        "Start one with cineclub worker, or look into worker.log why it ended. Answers go on.",
        Case({"cineclub_worker_up": "1x3 0x20"}, "20m", "0"),
        Case({"cineclub_worker_up": "1x3 0x5 1x20"}, "20m"),
    ),
    Alert(
        "TrainingsUnknown",
        "warning",
        "time() - max(cineclub_trainings_known_timestamp_seconds)",
        "> 300",
        5,
        "Nothing was heard of trainings for {value}",
        "The first API process reads them from PostgreSQL every two seconds: look for trainings_ lines in its log.",
        Case({"cineclub_trainings_known_timestamp_seconds": "0x20"}, "15m", "15m 0s"),
        Case({"cineclub_trainings_known_timestamp_seconds": "0+60x20"}, "15m"),
        shown="humanizeDuration",
    ),
)


DRIFT_CHECKED = "max(cineclub_drift_checked_timestamp_seconds)"
DRIFT_INTERVAL = "max(cineclub_drift_check_interval_seconds)"
STARTED = 'min(process_start_time_seconds{job="cineclub"})'


def _drift_case(
    *, checked: str, interval: str = "86400x20", started: str = "-604800x20", value: str | None = None
) -> Case:
    """Return a case of when drift was checked, how often it should be, and since when the service runs."""
    series = {
        "cineclub_drift_checked_timestamp_seconds": checked,
        "cineclub_drift_check_interval_seconds": interval,
        'process_start_time_seconds{job="cineclub"}': started,
        'process_start_time_seconds{job="prometheus"}': "-2592000x20",
    }
    return Case(series, "15m", value)


DRIFT_ALERTS = (
    Alert(
        "Drift",
        "warning",
        "max(cineclub_drift_verdict)",
        "== 1",
        0,
        "Ratings or answers differ from what the model learned",
        "GET /monitoring/drift says which statistics and which genres, decades and people moved most.",
        Case({"cineclub_drift_verdict": "0x3 1x5"}, "6m", "1"),
        Case({"cineclub_drift_verdict": "2x9"}, "6m"),
    ),
    Alert(
        "DriftNotChecked",
        "warning",
        f"(time() - ({DRIFT_CHECKED} != 0 or {STARTED})) / {DRIFT_INTERVAL}",
        "> 2.5",
        10,
        "Drift was last checked {value} times CINECLUB_DRIFT_CHECK_HOURS ago",
        "Silence is not OK: the service checks by itself, look for drift_ lines in its log.",
        _drift_case(checked="-259200x20", value="3.01"),
        _drift_case(checked="-259200x20", interval="259200x20"),
        more=(
            _drift_case(checked="0x20", started="-259200x20", value="3.01"),
            _drift_case(checked="0x20", started="-86400x20"),
            _drift_case(checked="-3600x20", started="-259200x20"),
        ),
    ),
    Alert(
        "AlertsLost",
        "warning",
        "sum(increase(cineclub_lost_alerts_total[1h]))",
        "> 0",
        0,
        "Alerts of drift that reached nobody in an hour: {value}",
        "The address in CINECLUB_ALERT_WEBHOOK did not take them after several tries: the log says why.",
        Case({"cineclub_lost_alerts_total": "0x5 1x60"}, "20m", "1"),
        Case({"cineclub_lost_alerts_total": "3x60"}, "20m"),
    ),
)

ALERTS = (*SERVICE_ALERTS, *MODEL_ALERTS, *TRAINING_ALERTS, *DRIFT_ALERTS)
