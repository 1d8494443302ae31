"""The four dashboards: service, trainings, recommendations and drift."""

from ops.panels import RATE, Color, Dashboard, Names, Panel, Query, Row, Unit

PEOPLE = 'route!~"/metrics|/health|/ready"'
"""Requests without those of monitoring."""

REQUESTS = f"cineclub_http_requests_total{{{PEOPLE}}}"
FAILED = f'cineclub_http_requests_total{{{PEOPLE},status=~"5.."}}'
RESPONSE_SECONDS = 'cineclub_http_request_duration_seconds_bucket{route="/predict/"}'
BY_VERSION = "version {{model_version}}, {{strategy}}"
YES_NO: Names = {1: ("yes", "green"), 0: ("no", "red")}
DRIFT_NAMES: Names = {
    0: ("OK", "green"),
    1: ("ALERT", "red"),
    2: ("not enough data", "orange"),
    -1: ("never checked", "orange"),
}


def age_of(timestamp: str) -> str:
    """Return the expression of the seconds since an event; empty if it never happened."""
    return f"time() - ({timestamp} > 0)"


def _stat(
    title: str,
    meaning: str,
    expression: str,
    unit: Unit = "short",
    steps: tuple[tuple[float, Color], ...] = (),
    names: Names | None = None,
) -> Panel:
    """Return a panel with a single figure."""
    return Panel(title, meaning, (Query(expression),), unit, "stat", steps, names or {})


def _response_quantile(quantile: float) -> Query:
    """Return the expression of a quantile of the response time."""
    return Query(
        f"histogram_quantile({quantile}, sum by (le) (rate({RESPONSE_SECONDS}[{RATE}])))", f"p{quantile * 100:g}"
    )


SERVICE = Dashboard(
    "service",
    "Service",
    (
        Row(
            "Now",
            (
                _stat("Scraped", "Prometheus reaches the API.", 'min(up{job="cineclub"})', names=YES_NO),
                _stat("PostgreSQL", "It responds to every API process.", "min(cineclub_database_up)", names=YES_NO),
                _stat(
                    "Requests",
                    "Without /metrics, /health and /ready.",
                    f"sum(rate({REQUESTS}[{RATE}]))",
                    unit="reqps",
                ),
                _stat(
                    "Failed",
                    "Share of the requests that ended with a status of 500 and above.",
                    f"(sum(rate({FAILED}[{RATE}])) or vector(0)) / sum(rate({REQUESTS}[{RATE}]))",
                    unit="percentunit",
                    steps=((0.01, "orange"), (0.05, "red")),
                ),
                _stat(
                    "Slowest responses",
                    "99 of 100 recommendations were faster.",
                    _response_quantile(0.99).expression,
                    unit="s",
                    steps=((0.1, "orange"), (0.5, "red")),
                ),
                _stat("Model", "Version in production; 0 without one.", "max(cineclub_model_version)", unit="none"),
            ),
        ),
        Row(
            "Requests",
            (
                Panel(
                    "Requests by route",
                    "By route template; other paths are `unmatched`.",
                    (Query(f"sum by (route) (rate(cineclub_http_requests_total[{RATE}]))", "{{route}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Requests by status",
                    "5xx are faults of the service, 4xx of the callers.",
                    (Query(f"sum by (status) (rate(cineclub_http_requests_total[{RATE}]))", "{{status}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Seconds of a recommendation",
                    "From the first byte of the request to the last of the response.",
                    (_response_quantile(0.5), _response_quantile(0.95), _response_quantile(0.99)),
                    "s",
                ),
                Panel(
                    "Slowest tenth by route",
                    "Nine of ten requests were faster.",
                    (
                        Query(
                            "histogram_quantile(0.9, sum by (route, le) "
                            f"(rate(cineclub_http_request_duration_seconds_bucket[{RATE}])))",
                            "{{route}}",
                        ),
                    ),
                    "s",
                ),
            ),
        ),
        Row(
            "PostgreSQL and the log of responses",
            (
                Panel(
                    "Connections",
                    "Of all API processes; requests wait while all are in use.",
                    (
                        Query("sum(cineclub_database_pool_in_use)", "in use"),
                        Query("sum(cineclub_database_pool_size)", "open"),
                        Query("sum(cineclub_database_pool_limit)", "at most"),
                        Query("sum(cineclub_database_pool_waiting)", "requests waiting"),
                    ),
                ),
                Panel(
                    "Wait for a connection",
                    "Mean seconds until a request got a connection.",
                    (
                        Query(
                            f"sum(rate(cineclub_database_pool_wait_seconds_total[{RATE}])) / "
                            f"(sum(rate(cineclub_database_pool_requests_total[{RATE}])) > 0)",
                            "wait",
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Responses waiting to be logged",
                    "Written in batches in the background; more than CINECLUB_PREDICTION_LOG_SIZE are dropped.",
                    (Query("sum(cineclub_prediction_log_waiting_rows)", "waiting"),),
                ),
                Panel(
                    "Responses not logged",
                    "Dropped because the queue was full; they are missing from all figures of recommendations.",
                    (Query(f"sum(rate(cineclub_prediction_log_dropped_rows_total[{RATE}]))", "dropped a second"),),
                    "reqps",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                Panel(
                    "Processor",
                    "Cores in use, a line for each worker.",
                    (Query(f'rate(process_cpu_seconds_total{{job="cineclub"}}[{RATE}])', "{{instance}} {{worker}}"),),
                    "percentunit",
                ),
                Panel(
                    "Memory",
                    "Resident; the model's shared pages are counted in each worker.",
                    (Query('process_resident_memory_bytes{job="cineclub"}', "{{instance}} {{worker}}"),),
                    "bytes",
                ),
            ),
        ),
    ),
)

TRAINING = Dashboard(
    "training",
    "Training and models",
    (
        Row(
            "Now",
            (
                _stat("Worker", "A worker is running.", "min(cineclub_worker_up)", names=YES_NO),
                _stat("Waiting", "Trainings that wait for a worker.", "max(cineclub_trainings_queued)"),
                _stat("Running", "One at a time.", "max(cineclub_trainings_running)"),
                _stat("Model", "Version in production; 0 without one.", "max(cineclub_model_version)", unit="none"),
                _stat(
                    "Age of the model",
                    "Since its promotion.",
                    f"({age_of('max(cineclub_model_promoted_timestamp_seconds)')}) / 86400",
                    unit="d",
                    steps=((30.0, "orange"), (45.0, "red")),
                ),
                _stat(
                    "Age of the crowd's counts",
                    "Likes for trends are counted every five minutes.",
                    age_of("max(cineclub_crowd_counts_timestamp_seconds)"),
                    unit="s",
                    steps=((900.0, "orange"), (1800.0, "red")),
                ),
                _stat(
                    "Last success",
                    "Time since the last successful training.",
                    age_of('max(cineclub_training_ended_timestamp_seconds{outcome="succeeded"})'),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Trainings",
            (
                Panel(
                    "Trainings per day",
                    "Trainings that ended within 24 hours, by outcome.",
                    (Query("sum by (outcome) (increase(cineclub_trainings_total[1d]))", "{{outcome}}"),),
                    is_stacked=True,
                ),
                Panel(
                    "Heartbeat of the running training",
                    "Rises when its worker hangs or dies; the training is then run again.",
                    (Query("max(cineclub_training_heartbeat_age_seconds)", "age"),),
                    "s",
                    steps=((60.0, "red"),),
                ),
                Panel(
                    "Steps of the newest successful training",
                    "The boxes of the training's drawing.",
                    (Query("max by (step) (cineclub_training_step_duration_seconds)", "{{step}}"),),
                    "s",
                    "bargauge",
                ),
                Panel(
                    "Duration of a training",
                    "Mean over all ended trainings, by outcome.",
                    (
                        Query(
                            "sum by (outcome) (cineclub_training_duration_seconds_total) / "
                            "(sum by (outcome) (cineclub_trainings_total) > 0)",
                            "{{outcome}}",
                        ),
                    ),
                    "s",
                ),
                Panel(
                    "Trainings by trigger",
                    "All trainings so far.",
                    (Query("sum by (trigger) (cineclub_trainings_total)", "{{trigger}}"),),
                    kind="bargauge",
                ),
                Panel(
                    "Verdicts of the gate",
                    "Registered versions so far.",
                    (Query("max by (verdict) (cineclub_versions)", "{{verdict}}"),),
                    kind="bargauge",
                ),
            ),
        ),
        Row(
            "Promotions",
            (
                Panel(
                    "Version in production",
                    "Each step is a promotion or a rollback.",
                    (Query("max(cineclub_model_version)", "version"),),
                    "none",
                ),
                Panel(
                    "Refused promotions",
                    "All so far, by requester, and failed loads of a broken version.",
                    (
                        Query("max by (asked_by) (cineclub_promotion_refusals)", "requested by {{asked_by}}"),
                        Query("sum(cineclub_model_refusals_total)", "not loaded"),
                    ),
                ),
                Panel(
                    "Probation",
                    "1 while the former version's lists are better than those of production; all so far.",
                    (
                        Query("max(cineclub_probation_alarm)", "alarm"),
                        Query("max(cineclub_probation_alarms)", "alarms so far"),
                    ),
                ),
            ),
        ),
    ),
)

RECOMMENDATIONS = Dashboard(
    "recommendations",
    "Recommendations",
    (
        Row(
            "Responses",
            (
                Panel(
                    "Responses by strategy",
                    "`popular` are those to new users, and all while Popular serves.",
                    (Query(f"sum by (strategy) (rate(cineclub_predictions_total[{RATE}]))", "{{strategy}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Responses by version",
                    "Two versions overlap for seconds during a promotion.",
                    (
                        Query(
                            f"sum by (model_version) (rate(cineclub_predictions_total[{RATE}]))",
                            "version {{model_version}}",
                        ),
                    ),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Share of cold starts and degraded responses",
                    "Of all responses: to users unknown to the model; made while PostgreSQL was unavailable.",
                    (
                        Query(
                            f'(sum(rate(cineclub_predictions_total{{strategy="popular"}}[{RATE}])) or vector(0)) / '
                            f"sum(rate(cineclub_predictions_total[{RATE}]))",
                            "cold starts",
                        ),
                        Query(
                            f'(sum(rate(cineclub_predictions_total{{degraded="true"}}[{RATE}])) or vector(0)) / '
                            f"sum(rate(cineclub_predictions_total[{RATE}]))",
                            "degraded",
                        ),
                    ),
                    "percentunit",
                ),
                Panel(
                    "Cold starts by version",
                    "Of the logged responses of 30 days.",
                    (
                        Query(
                            "max by (model_version) (cineclub_recommendation_cold_start_share)",
                            "version {{model_version}}",
                        ),
                    ),
                    "percentunit",
                ),
            ),
        ),
        Row(
            "Outcomes of the responses of 30 days",
            (
                Panel(
                    "Rated afterwards",
                    "Share of responses to known users of which a film was rated; it rises for a new version.",
                    (Query("cineclub_recommendation_hit_rate", BY_VERSION),),
                    "percentunit",
                ),
                Panel(
                    "Mean rating of recommended films",
                    "Of recommended films that were rated afterwards.",
                    (Query("cineclub_recommendation_mean_taken_rating", BY_VERSION),),
                ),
                Panel(
                    "Films shown",
                    "Share of the catalogue that was recommended at least once.",
                    (Query("cineclub_recommendation_coverage", BY_VERSION),),
                    "percentunit",
                ),
                Panel(
                    "Popular films",
                    "Share of the recommended films that are among the most rated tenth.",
                    (Query("cineclub_recommendation_popularity_share", BY_VERSION),),
                    "percentunit",
                ),
                Panel(
                    "Logged responses and films taken",
                    "The bases of the shares beside.",
                    (
                        Query("sum(cineclub_recommendation_answers)", "responses"),
                        Query("sum(cineclub_recommendation_named_answers)", "to known users"),
                        Query("sum(cineclub_recommendation_taken_films)", "films rated afterwards"),
                    ),
                ),
                Panel(
                    "Age of these figures",
                    "Counted every CINECLUB_OUTCOME_REFRESH_SECONDS.",
                    (Query(age_of("max(cineclub_recommendation_outcomes_timestamp_seconds)"), "age"),),
                    "s",
                ),
            ),
        ),
        Row(
            "Comparisons of versions",
            (
                Panel(
                    "Compared responses",
                    "Where CINECLUB_SHADOW or CINECLUB_PROBATION is on.",
                    (Query(f"sum by (purpose) (rate(cineclub_compared_answers_total[{RATE}]))", "{{purpose}}"),),
                    "reqps",
                ),
                Panel(
                    "Lost comparisons",
                    "By cause; they affect no response.",
                    (Query(f"sum by (cause) (rate(cineclub_lost_comparisons_total[{RATE}]))", "{{cause}}"),),
                    "reqps",
                ),
            ),
        ),
    ),
)

DRIFT = Dashboard(
    "drift",
    "Drift",
    (
        Row(
            "Newest check",
            (
                _stat("Verdict", "Of all statistics together.", "max(cineclub_drift_verdict)", names=DRIFT_NAMES),
                _stat(
                    "Checked",
                    "Time since the newest check.",
                    age_of("max(cineclub_drift_checked_timestamp_seconds)"),
                    unit="s",
                    steps=((172_800.0, "orange"), (604_800.0, "red")),
                ),
                _stat(
                    "Alerts", "In a week.", "sum(increase(cineclub_drift_alerts_total[7d]))", steps=((1.0, "orange"),)
                ),
                _stat(
                    "Trainings",
                    "Started by drift, so far.",
                    'sum(cineclub_trainings_total{trigger="drift"})',
                ),
            ),
        ),
        Row(
            "Statistics",
            (
                Panel(
                    "Distances now",
                    "Distance from the baseline of the model, each in the unit of its statistic.",
                    (Query("max by (statistic) (cineclub_drift_distance)", "{{statistic}}"),),
                    kind="bargauge",
                ),
                Panel(
                    "Distances over time",
                    "One line for each statistic that has a distance.",
                    (Query("max by (statistic) (cineclub_drift_distance)", "{{statistic}}"),),
                ),
                Panel(
                    "Lost alerts",
                    "The webhook (CINECLUB_ALERT_WEBHOOK) refused them after several tries.",
                    (Query("sum(increase(cineclub_lost_alerts_total[1d]))", "lost in a day"),),
                ),
                Panel(
                    "Verdicts over time",
                    "0 OK, 1 ALERT, 2 not enough data, -1 never checked.",
                    (Query("max(cineclub_drift_verdict)", "verdict"),),
                    names=DRIFT_NAMES,
                ),
            ),
        ),
    ),
)

DASHBOARDS = (SERVICE, TRAINING, RECOMMENDATIONS, DRIFT)
