"""The four dashboards: what the service does, what trainings do, what is recommended, and whether ratings drift."""

from ops.panels import RATE, Color, Dashboard, Names, Panel, Query, Row, Unit

PEOPLE = 'route!~"/metrics|/health|/ready"'
"""Requests of people and programs, without those of the machines that watch."""

REQUESTS = f"cineclub_http_requests_total{{{PEOPLE}}}"
FAILED = f'cineclub_http_requests_total{{{PEOPLE},status=~"5.."}}'
ANSWER_SECONDS = 'cineclub_http_request_duration_seconds_bucket{route="/predict/"}'
BY_VERSION = "version {{model_version}}, {{strategy}}"
YES_NO: Names = {1: ("yes", "green"), 0: ("no", "red")}
DRIFT_NAMES: Names = {
    0: ("OK", "green"),
    1: ("ALERT", "red"),
    2: ("not enough data", "orange"),
    -1: ("never checked", "orange"),
}


def age_of(timestamp: str) -> str:
    """Return the expression of how many seconds ago something was; nothing where it never was."""
    return f"time() - ({timestamp} > 0)"


def _stat(
    title: str,
    meaning: str,
    expression: str,
    unit: Unit = "short",
    steps: tuple[tuple[float, Color], ...] = (),
    names: Names | None = None,
) -> Panel:
    """Return a single figure."""
    return Panel(title, meaning, (Query(expression),), unit, "stat", steps, names or {})


def _answer_quantile(quantile: float) -> Query:
    """Return within how many seconds so many of the answers came."""
    return Query(
        f"histogram_quantile({quantile}, sum by (le) (rate({ANSWER_SECONDS}[{RATE}])))", f"p{quantile * 100:g}"
    )


SERVICE = Dashboard(
    "service",
    "Service",
    (
        Row(
            "Now",
            (
                _stat("Scraped", "Whether Prometheus reaches the API.", 'min(up{job="cineclub"})', names=YES_NO),
                _stat("PostgreSQL", "Whether it answers every API process.", "min(cineclub_database_up)", names=YES_NO),
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
                    "Slowest answers",
                    "99 of 100 recommendations came faster.",
                    _answer_quantile(0.99).expression,
                    unit="s",
                    steps=((0.1, "orange"), (0.5, "red")),
                ),
                _stat("Model", "Version that answers; 0 without one.", "max(cineclub_model_version)", unit="none"),
            ),
        ),
        Row(
            "Requests",
            (
                Panel(
                    "Requests by route",
                    "The templates of routes; what matched none is `unmatched`.",
                    (Query(f"sum by (route) (rate(cineclub_http_requests_total[{RATE}]))", "{{route}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Requests by status",
                    "5xx are ours to mend, 4xx the callers'.",
                    (Query(f"sum by (status) (rate(cineclub_http_requests_total[{RATE}]))", "{{status}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Seconds of a recommendation",
                    "From the first byte of the request to the last of the answer.",
                    (_answer_quantile(0.5), _answer_quantile(0.95), _answer_quantile(0.99)),
                    "s",
                ),
                Panel(
                    "Slowest tenth by route",
                    "Nine of ten requests came faster.",
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
            "PostgreSQL and the log of answers",
            (
                Panel(
                    "Connections",
                    "Of all API processes; requests wait once all are in use.",
                    (
                        Query("sum(cineclub_database_pool_in_use)", "in use"),
                        Query("sum(cineclub_database_pool_size)", "open"),
                        Query("sum(cineclub_database_pool_limit)", "at most"),
                        Query("sum(cineclub_database_pool_waiting)", "requests waiting"),
                    ),
                ),
                Panel(
                    "Wait for a connection",
                    "Mean seconds until a request got one.",
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
                    "Answers waiting to be logged",
                    "Written in batches beside the requests; more than CINECLUB_PREDICTION_LOG_SIZE are dropped.",
                    (Query("sum(cineclub_prediction_log_waiting_rows)", "waiting"),),
                ),
                Panel(
                    "Answers not logged",
                    "Dropped because the log was full: they are missing from every figure of recommendations.",
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
                    "Seconds of one core a second; with several workers each has a line.",
                    (Query(f'rate(process_cpu_seconds_total{{job="cineclub"}}[{RATE}])', "{{instance}} {{worker}}"),),
                    "percentunit",
                ),
                Panel(
                    "Memory",
                    "Resident; workers share the model's pages, which are counted in each.",
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
                _stat("Worker", "Whether one is there to run trainings.", "min(cineclub_worker_up)", names=YES_NO),
                _stat("Waiting", "Trainings that wait for a worker.", "max(cineclub_trainings_queued)"),
                _stat("Running", "One at a time.", "max(cineclub_trainings_running)"),
                _stat("Model", "Version that answers; 0 without one.", "max(cineclub_model_version)", unit="none"),
                _stat(
                    "Age of the model",
                    "Since its promotion.",
                    f"({age_of('max(cineclub_model_promoted_timestamp_seconds)')}) / 86400",
                    unit="d",
                    steps=((30.0, "orange"), (45.0, "red")),
                ),
                _stat(
                    "Last success",
                    "How long ago a training last succeeded.",
                    age_of('max(cineclub_training_ended_timestamp_seconds{outcome="succeeded"})'),
                    unit="s",
                ),
            ),
        ),
        Row(
            "Trainings",
            (
                Panel(
                    "Trainings of a day",
                    "Those that ended within 24 hours, by outcome.",
                    (Query("sum by (outcome) (increase(cineclub_trainings_total[1d]))", "{{outcome}}"),),
                    is_stacked=True,
                ),
                Panel(
                    "Sign of life of the running training",
                    "Rises once its worker is stuck or dead; its training is then run again.",
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
                    "Seconds of a training",
                    "Mean of all that ended so far, by outcome.",
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
                    "What started trainings",
                    "All so far.",
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
                    "Version that answers",
                    "Each step is a promotion or a rollback.",
                    (Query("max(cineclub_model_version)", "version"),),
                    "none",
                ),
                Panel(
                    "Refused promotions",
                    "All so far, by who asked; and tries to load a broken version.",
                    (
                        Query("max by (asked_by) (cineclub_promotion_refusals)", "asked by {{asked_by}}"),
                        Query("sum(cineclub_model_refusals_total)", "not loaded"),
                    ),
                ),
                Panel(
                    "Probation",
                    "1 while the former version's lists proved better than those of the one that serves; all so far.",
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
            "Answers",
            (
                Panel(
                    "Answers by strategy",
                    "`popular` are those to new people, and all where Popular itself serves.",
                    (Query(f"sum by (strategy) (rate(cineclub_predictions_total[{RATE}]))", "{{strategy}}"),),
                    "reqps",
                    is_stacked=True,
                ),
                Panel(
                    "Answers by version",
                    "Two at once for the seconds of a promotion.",
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
                    "Share of cold starts and degraded answers",
                    "Of all answers: to people of whom the model knows nothing; made while PostgreSQL was away.",
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
                    "Of the logged answers of 30 days.",
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
            "What became of the answers of 30 days",
            (
                Panel(
                    "Rated afterwards",
                    "Share of answers to people with an account with a film that they rated; a new version rises.",
                    (Query("cineclub_recommendation_hit_rate", BY_VERSION),),
                    "percentunit",
                ),
                Panel(
                    "Mean rating of recommended films",
                    "Of those that were rated afterwards.",
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
                    "Logged answers and films taken",
                    "What the shares beside are of.",
                    (
                        Query("sum(cineclub_recommendation_answers)", "answers"),
                        Query("sum(cineclub_recommendation_named_answers)", "to people with an account"),
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
            "Other versions asked beside",
            (
                Panel(
                    "Compared answers",
                    "Where CINECLUB_SHADOW or CINECLUB_PROBATION is on.",
                    (Query(f"sum by (purpose) (rate(cineclub_compared_answers_total[{RATE}]))", "{{purpose}}"),),
                    "reqps",
                ),
                Panel(
                    "Lost comparisons",
                    "By cause; they change no answer.",
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
                    "How long ago.",
                    age_of("max(cineclub_drift_checked_timestamp_seconds)"),
                    unit="s",
                    steps=((172_800.0, "orange"), (604_800.0, "red")),
                ),
                _stat(
                    "Alerts", "Of a week.", "sum(increase(cineclub_drift_alerts_total[7d]))", steps=((1.0, "orange"),)
                ),
                _stat(
                    "Trainings",
                    "That drift started, so far.",
                    'sum(cineclub_trainings_total{trigger="drift"})',
                ),
            ),
        ),
        Row(
            "Statistics",
            (
                Panel(
                    "Distances now",
                    "Each in its own measure, from what was normal when the model was trained.",
                    (Query("max by (statistic) (cineclub_drift_distance)", "{{statistic}}"),),
                    kind="bargauge",
                ),
                Panel(
                    "Distances over time",
                    "One line for each statistic that has a distance.",
                    (Query("max by (statistic) (cineclub_drift_distance)", "{{statistic}}"),),
                ),
                Panel(
                    "Alerts that nobody was told of",
                    "The webhook (CINECLUB_ALERT_WEBHOOK) did not take them after several tries.",
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
