"""Settings -> what asks other versions beside the one that serves, and what becomes of a promotion."""

from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import TYPE_CHECKING

from cineclub.bootstrap.storage import database_url, external_schema, promotions, registry
from cineclub.settings import Settings

if TYPE_CHECKING:
    from cineclub.adapters.postgres.comparisons import PostgresComparisons
    from cineclub.adapters.postgres.serving_pool import ServingPool
    from cineclub.adapters.processes.promoting import PromotingProcess
    from cineclub.domain.live_comparison import PairOutcomes, PairVerdict
    from cineclub.domain.setbacks import Setback
    from cineclub.flows.shadow import Shadow
    from cineclub.ports import ComparisonMetrics, ProbationLook, Promotion
    from cineclub.serving import Comparing

HISTORY_READ = 1000
POLLS_PER_LOOK = 5
"""After so many looks for a promotion it is looked again which versions there are to compare."""


def comparing(
    settings: Settings, pool: "ServingPool", metrics: "ComparisonMetrics", promoter: "PromotingProcess"
) -> "Comparing":
    """Return what asks other versions beside the one that serves, and what looks at what became of it."""
    from cineclub.adapters.postgres.comparisons import PostgresComparisons
    from cineclub.flows.probation import ComparisonReport, ProbationRules, ProbationWatch
    from cineclub.flows.shadow import NobodyWatches
    from cineclub.serving import Comparing

    store = PostgresComparisons(pool, external_schema(settings))
    days, window_days = settings.probation_days, settings.outcome_window_days
    rules = ProbationRules(settings.probation, days, window_days, settings.outcome_refresh_seconds)
    report = ComparisonReport(store, _judge_pair, rules, _now)
    shadow = _shadow(settings, store, metrics)
    if shadow is None:
        return Comparing(NobodyWatches(), report)
    watch = ProbationWatch(store, _judge_pair, promoter.end_probation, metrics, rules, _now)
    return Comparing(shadow, report, (shadow,), (watch,))


def _shadow(settings: Settings, store: "PostgresComparisons", metrics: "ComparisonMetrics") -> "Shadow | None":
    """Return what asks other versions; None where no setting wants any."""
    from cineclub.adapters.artifacts import read_artifact
    from cineclub.flows.live_model import folder_of
    from cineclub.flows.prediction import listed_films
    from cineclub.flows.shadow import Rival, Shadow, ShadowRules
    from cineclub.ports import LiveModel

    has_challenger, is_on_probation = settings.shadow == "challenger", settings.probation != "off"
    if not has_challenger and not is_on_probation:
        return None

    def load(rival: Rival) -> LiveModel:
        folder = folder_of(rival, settings.home / "models")
        return LiveModel.of(rival.version, *read_artifact(folder, rival.manifest_sha256))

    days = settings.probation_days if is_on_probation else 0.0
    rules = ShadowRules(has_challenger, days, settings.shadow_share, POLLS_PER_LOOK * settings.model_poll_seconds)
    return Shadow(
        store, load, listed_films, metrics, rules, _now, SystemRandom().random
    )  # forked workers must not draw alike


def _judge_pair(pair: "PairOutcomes") -> "PairVerdict":
    """Return the verdict on a pair of versions; scipy is imported here, in a thread, and not while the API starts."""
    from cineclub.domain.list_contest import judge_pair

    return judge_pair(pair)


def _now() -> datetime:
    """Return the time."""
    return datetime.now(tz=UTC)


def end_probation(settings: Settings, promotion_id: int, reason: str) -> "Promotion":
    """Let the former version serve again, if a promotion still decides what serves, and return what serves now.

    Raises:
        Conflict: it does not any more, or the former version cannot be served.
    """
    from cineclub.flows import promoting

    return promoting.end_probation(registry(settings), promotions(settings), promotion_id, reason)


def setbacks(settings: Settings) -> "tuple[Setback, ...]":
    """Return what probation rolled back as lately as a model may be old, for the gate to hold it."""
    from cineclub.domain.setbacks import setbacks_of

    since = _now() - timedelta(days=settings.max_model_age_days)
    return setbacks_of(promotions(settings).recent(HISTORY_READ), since)


def probation_looks(settings: Settings, limit: int) -> "list[ProbationLook]":
    """Return the looks at probations, newest first."""
    from cineclub.adapters.postgres.comparisons import recent_looks

    return recent_looks(database_url(settings), limit)
