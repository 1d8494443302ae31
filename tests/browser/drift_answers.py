"""Documented responses of /monitoring/drift, in which users turned away from horror films."""

from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
N_CHECKS = 26
SHIFTED_CHECKS = 2
STATISTICS: list[tuple[str, str, float | None, float | None, float | None, float | None, float | None, str]] = [
    # name, of, baseline, current, change_pct, distance, threshold, verdict
    ("taste_by_genre", "ratings", None, None, None, 0.214, 0.08, "ALERT"),
    ("mean_rating", "ratings", 3.52, 3.31, -6.0, None, 10.0, "OK"),
    ("rating_distribution", "ratings", None, None, None, 0.031, 0.045, "OK"),
    ("ratings_a_day", "ratings", 588.0, 601.6, 2.3, None, 10.0, "OK"),
    ("active_users", "ratings", 212.0, 219.0, 3.3, None, 10.0, "OK"),
    ("genre_mix", "ratings", None, None, None, 0.012, 0.03, "OK"),
    ("popularity_gini", "ratings", 0.71, 0.7, -1.4, None, 10.0, "OK"),
    ("answers_coverage", "answers", 0.18, 0.17, -5.6, None, 10.0, "OK"),
    ("answers_score_distribution", "answers", None, None, None, None, 0.05, "NOT_ENOUGH_DATA"),
]
SEGMENTS = [
    ("genre", "Horror", 0.061, 0.058, 3.31, 2.12, 0.62),
    ("genre", "Thriller", 0.094, 0.092, 3.48, 3.21, 0.14),
    ("decade", "1980s", 0.121, 0.118, 3.61, 3.4, 0.08),
    ("activity", "new to the service", 0.052, 0.061, 3.52, 3.38, 0.05),
    ("popularity", "tail", 0.2, 0.21, 3.2, 3.16, 0.03),
]
SUMMARY = "taste by genre moved most: people rate Horror 2.12 where they rated 3.31, 62 % of the change"


def check() -> dict[str, Any]:
    """Return the newest check."""
    names = ("name", "of", "baseline", "current", "change_pct", "distance", "threshold", "verdict")
    segment_names = ("dimension", "name", "baseline_share", "current_share", "baseline_mean", "current_mean")
    return {
        "check_id": N_CHECKS,
        "checked_at": NOW.isoformat(),
        "verdict": "ALERT",
        "summary": SUMMARY,
        "window": {
            "starts_at": (NOW - timedelta(days=7)).isoformat(),
            "ends_at": NOW.isoformat(),
            "days": 7.0,
            "n_ratings": 4211,
            "n_answers": 1200,
        },
        "threshold_pct": 10.0,
        "comparisons": [
            {
                "baseline": "model",
                "model_version": 7,
                "taken_at": (NOW - timedelta(days=40)).isoformat(),
                "n_windows": 26,
                "verdict": "ALERT",
                "statistics": [dict(zip(names, values, strict=True)) for values in STATISTICS],
                "segments": [
                    dict(zip((*segment_names, "share_of_change"), values, strict=True)) for values in SEGMENTS
                ],
            }
        ],
    }


def history() -> dict[str, Any]:
    """Return weekly checks, newest first; the first had too little data, the last two are alerts."""
    return {"checks": [_past_check(nth) for nth in range(N_CHECKS, 0, -1)]}


def _past_check(nth: int) -> dict[str, Any]:
    """Return a recorded check."""
    is_shifted = nth > N_CHECKS - SHIFTED_CHECKS
    verdict = "NOT_ENOUGH_DATA" if nth == 1 else "ALERT" if is_shifted else "OK"
    wave = (nth * 7 % 5) / 1000
    distances = {"rating_distribution": 0.02 + wave, "taste_by_genre": (0.19 if is_shifted else 0.04) + 4 * wave}
    return {
        "check_id": nth,
        "checked_at": (NOW - timedelta(weeks=N_CHECKS - nth)).isoformat(),
        "verdict": verdict,
        "summary": {"OK": "nothing moved more than it usually does", "ALERT": SUMMARY}.get(
            verdict, "12 ratings are too few to say anything"
        ),
        "distances": {} if nth == 1 else distances,
        "changes": {} if nth == 1 else {"mean_rating": -6.0 if is_shifted else round(100 * wave, 1)},
        "segments": check()["comparisons"][0]["segments"][:3] if is_shifted else [],
    }
