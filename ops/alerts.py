"""Alert rules, each with a case in which it fires and one in which it does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ops.dashboards import FAILED, REQUESTS, RESPONSE_SECONDS

Severity = Literal["critical", "warning"]
Shown = Literal["humanize", "humanizePercentage", "humanizeDuration"]
GROUP = "cineclub"
GUIDE = "docs/operations.md"
COLD_START_PEOPLE = 'strategy="popular",model_version!="none"'


@dataclass(frozen=True, slots=True)
class Case:
    """Series that Prometheus has scraped each minute, and whether the alert then fires.

    Attributes:
        series: values by series, in promtool's notation.
        at: time of the check.
        value: the shown value of the alert; None where it does not fire.
        labels: the labels of the series that the alert has.
    """

    series: Mapping[str, str]
    at: str
    value: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that fires once ``measured`` is beyond the ``limit``, while the ``guard`` holds, for ``minutes``.

    Attributes:
        name: without the prefix of the project.
        severity: ``critical`` needs action at once.
        measured: an expression that has a value at any time.
        limit: a comparison with a number.
        minutes: time before it fires.
        summary: the problem; ``{value}`` stands for the measured value.
        what_to_do: the first step.
        fires: a case in which it fires.
        is_silent: a similar case in which it does not.
        guard: an additional condition, an expression; empty for none.
        shown: the format of the value.
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
        """The displayed name."""
        return f"Cineclub{self.name}"

    @property
    def expression(self) -> str:
        """The expression of the alert, empty unless it fires."""
        beyond = f"{self.measured} {self.limit}"
        return f"({beyond}) and on () ({self.guard})" if self.guard else beyond

    def rule(self) -> dict[str, Any]:
        """Return the rule in Prometheus' form."""
        return {
            "alert": self.full_name,
            "expr": self.expression,
            "for": f"{self.minutes}m",
            "labels": {"severity": self.severity},
            "annotations": self._annotations(f"{{{{ $value | {self.shown} }}}}"),
        }

    def cases(self) -> list[dict[str, Any]]:
        """Return every case in promtool's form."""
        more = [self._case(f"{nth}th case", case) for nth, case in enumerate(self.more, 3)]
        return [self._case("fires", self.fires), self._case("is silent", self.is_silent), *more]

    def _annotations(self, value: str) -> dict[str, str]:
        """Return the annotations, with a value."""
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
        """Return the expected alert."""
        labels = {"severity": self.severity, **case.labels}
        return {"exp_labels": labels, "exp_annotations": self._annotations(value)}


def _requests(status: str) -> str:
    """Return the series of recommendations that ended with a status."""
    return f'cineclub_http_requests_total{{route="/predict/",status="{status}"}}'


def _responses(strategy: str) -> str:
    """Return the series of responses of a strategy."""
    return f'cineclub_predictions_total{{strategy="{strategy}",model_version="3",degraded="false"}}'


def _latency(le: str) -> str:
    """Return the series of recommendations that took at most a number of seconds."""
    return f'cineclub_http_request_duration_seconds_bucket{{route="/predict/",le="{le}"}}'


SERVICE_ALERTS = (
    Alert(
        "Down",
        "critical",
        'min(up{job="cineclub"})',
        "== 0",
        1,
        "Prometheus does not reach the API",
        "Is the process running, and does the key of Prometheus have the scope metrics? Read its log.",
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
        "The log has the cause of each error_id; 503 means that PostgreSQL is unavailable: cineclub doctor.",
        Case({_requests("200"): "0+54x20", _requests("500"): "0+6x20"}, "15m", "10%"),
        Case({_requests("200"): "0+58x20", _requests("500"): "0+2x20"}, "15m"),
        shown="humanizePercentage",
    ),
    Alert(
        "SlowAnswers",
        "warning",
        f"histogram_quantile(0.99, sum by (le) (rate({RESPONSE_SECONDS}[5m])))",
        "> 0.5",
        10,
        "One of a hundred recommendations takes {value} or more",
        "Check the wait for connections and the processor: more workers, or fewer trainings at this hour?",
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
        "Responses come from memory, marked degraded; ratings and trainings are refused. Run cineclub doctor.",
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
        "Find slow statements in pg_stat_activity, or start more workers.",
        Case({"cineclub_database_pool_waiting": "0x3 4x10"}, "12m", "4"),
        Case({"cineclub_database_pool_waiting": "0x3 4 0x10"}, "12m"),
    ),
    Alert(
        "LogDrops",
        "warning",
        "sum(increase(cineclub_prediction_log_dropped_rows_total[10m]))",
        "> 0",
        0,
        "{value} responses of ten minutes were not logged",
        "Outcomes and drift lack them. Is PostgreSQL unavailable or slow? Else raise CINECLUB_PREDICTION_LOG_SIZE.",
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
        "{value} of the responses are popular films in place of a model's",
        "Do callers send the user ids of ratings? Does the version know enough users? Normal while Popular serves.",
        Case({_responses("popular"): "0+8x90", _responses("model"): "0+2x90"}, "80m", "80%"),
        Case({_responses("popular"): "0+4x90", _responses("model"): "0+6x90"}, "80m"),
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
        "No model serves",
        "All users get popular films. Was there a training, and what was its verdict? cineclub models --history.",
        Case({"cineclub_model_version": "0x20"}, "16m", "0"),
        Case({"cineclub_model_version": "0x10 1x10"}, "16m"),
    ),
    Alert(
        "ModelTooOld",
        "warning",
        "(time() - max(cineclub_model_promoted_timestamp_seconds)) / 86400",
        "> 45",
        10,
        "The model in production was promoted {value} days ago",
        "Do trainings run (CINECLUB_TRAINING_SCHEDULE)? For the verdicts of the gate: cineclub models --history.",
        Case(
            {"cineclub_model_promoted_timestamp_seconds": "-4320000x20", "cineclub_model_version": "3x20"},
            "15m",
            "50.01",
        ),
        Case({"cineclub_model_promoted_timestamp_seconds": "-4320000x20", "cineclub_model_version": "0x20"}, "15m"),
        "max(cineclub_model_version) > 0",
    ),
    Alert(
        "CrowdCountsTooOld",
        "warning",
        "time() - max(cineclub_crowd_counts_timestamp_seconds)",
        "> 1800",
        15,
        "The likes for trends were counted {value} ago",
        "Search the log for crowd_ lines: PostgreSQL refuses the counts, or they take too long.",
        Case({"cineclub_crowd_counts_timestamp_seconds": "0x80", "cineclub_database_up": "1x80"}, "50m", "50m 0s"),
        Case({"cineclub_crowd_counts_timestamp_seconds": "0x80", "cineclub_database_up": "0x80"}, "50m"),
        "min(cineclub_database_up) == 1",
        shown="humanizeDuration",
    ),
    Alert(
        "ModelNotLoaded",
        "warning",
        "sum(increase(cineclub_model_refusals_total[15m]))",
        "> 0",
        5,
        "A promoted version cannot be loaded: {value} attempts in a quarter of an hour",
        "The former version serves on. The copy is missing or damaged: is a worker running on the API's machine?",
        Case({"cineclub_model_refusals_total": "0+1x30"}, "25m", "15"),
        Case({"cineclub_model_refusals_total": "4x30"}, "25m"),
    ),
    Alert(
        "RejectedVersionServes",
        "warning",
        "max(cineclub_served_version_rejected)",
        "> 0",
        0,
        "A version that the gate rejected is in production",
        "cineclub models --history has its promotion and reason; cineclub rollback restores the former version.",
        Case({"cineclub_served_version_rejected": "0x3 1x5"}, "5m", "1"),
        Case({"cineclub_served_version_rejected": "0x5"}, "3m"),
    ),
    Alert(
        "ProbationAlarm",
        "warning",
        "max(cineclub_probation_alarm)",
        "> 0",
        0,
        "Users like the former version's lists better than those of production",
        "GET /monitoring/comparisons has the figures; cineclub rollback restores the former version.",
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
        "The last heartbeat of the running training was {value} ago",
        "Its worker hangs or has died, and no other took over: is one running? Read worker.log.",
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
        "No worker is running",
        "Start one with cineclub worker; worker.log has the reason of the end. The API is not affected.",
        Case({"cineclub_worker_up": "1x3 0x20"}, "20m", "0"),
        Case({"cineclub_worker_up": "1x3 0x5 1x20"}, "20m"),
    ),
    Alert(
        "TrainingsUnknown",
        "warning",
        "time() - max(cineclub_trainings_known_timestamp_seconds)",
        "> 300",
        5,
        "The state of trainings has been unknown for {value}",
        "The first API process reads it from PostgreSQL every two seconds: find trainings_ lines in its log.",
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
    """Return a case: time of the last drift check, its interval, and start of the service."""
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
        "Ratings or responses have drifted from the training data",
        "GET /monitoring/drift lists the statistics, genres, decades and users that changed most.",
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
        "The service checks periodically: find drift_ lines in its log.",
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
        "Drift alerts lost in an hour: {value}",
        "The address in CINECLUB_ALERT_WEBHOOK refused them after several tries; the log has the reason.",
        Case({"cineclub_lost_alerts_total": "0x5 1x60"}, "20m", "1"),
        Case({"cineclub_lost_alerts_total": "3x60"}, "20m"),
    ),
)

ALERTS = (*SERVICE_ALERTS, *MODEL_ALERTS, *TRAINING_ALERTS, *DRIFT_ALERTS)
