"""The drift checks that PostgreSQL recorded, with the statistics that each of them found beyond the normal range."""

from dataclasses import dataclass
from typing import Literal, LiteralString

import psycopg
from psycopg.rows import class_row

USUAL_CHECKS: LiteralString = """
SELECT
    extract(epoch FROM checked_at)::float8 AS checked_at,
    verdict,
    summary,
    (
        SELECT coalesce(array_agg(DISTINCT statistic ->> 'name'), '{}')
        FROM jsonb_path_query(document, '$.comparisons[*].statistics[*] ? (@.verdict == "ALERT")') AS statistic
    ) AS alerting,
    jsonb_path_exists(document, '$.comparisons[*].statistics[*] ? (@.verdict == "ALERT" && @.of == "answers")')
        AS is_of_answers
FROM cineclub.drift_checks
WHERE is_usual
ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class RecordedCheck:
    """One drift check with the usual settings.

    Attributes:
        checked_at: seconds since 1970-01-01 UTC.
        verdict: of the check.
        summary: the check's result in words, for the report.
        alerting: names of the statistics beyond their thresholds, such as ``mean_rating``.
        is_of_answers: whether one of them is a statistic of answers.
    """

    checked_at: float
    verdict: Literal["OK", "ALERT", "NOT_ENOUGH_DATA"]
    summary: str
    alerting: list[str]
    is_of_answers: bool


def usual_checks(database_url: str) -> list[RecordedCheck]:
    """Return the drift checks with the usual settings, the oldest first.

    GET /monitoring/drift/history gives no verdict by statistic, so the recorded documents are read.
    """
    with psycopg.connect(database_url, row_factory=class_row(RecordedCheck)) as connection:
        return connection.execute(USUAL_CHECKS).fetchall()
