"""Settings -> the shadow and the probation of versions."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import SystemRandom

from cineclub.adapters.postgres.comparisons import PostgresComparisons, recent_checks
from cineclub.adapters.postgres.serving_pool import ServingPool
from cineclub.adapters.processes.promotion_decider import PromotionDecider
from cineclub.adapters.prometheus.metrics import PrometheusMetrics
from cineclub.bootstrap.storage import database_url, external_schema, model_store, promotions
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.promotion.cooldown import RecentRollback, recent_rollbacks_of
from cineclub.domain.promotion.online_comparison import PairOutcomes, PairVerdict
from cineclub.domain.promotion.online_records import ProbationCheck
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.flows.probation import ComparisonQueries, ComparisonReport, ProbationChecks, ProbationRules
from cineclub.flows.shadow import Opponent, Shadow, ShadowMetrics, ShadowRules
from cineclub.runtime.machine import now
from cineclub.settings import Settings

HISTORY_READ = 1000
POLLS_PER_LOAD = 5
"""The number of polls for a promotion between two reads of the versions to compare."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """The parts that compare versions on real requests.

    Attributes:
        report: the outcomes so far.
        shadows: observe responses, in each process; none where nothing is compared.
        probations: make the checks of probations, in the first process alone; none likewise.
    """

    report: ComparisonReport
    shadows: tuple[Shadow, ...] = ()
    probations: tuple[ProbationChecks, ...] = ()


def comparing(
    settings: Settings,
    pool: ServingPool,
    metrics: PrometheusMetrics,
    promoter: PromotionDecider,
    last_catalogue: Callable[[], Catalogue | None],
) -> Comparing:
    """Return the parts that compare versions on real requests, all with the same movies, and check probations."""
    store = PostgresComparisons(pool, external_schema(settings))
    days, window_days = settings.probation_days, settings.outcome_window_days
    rules = ProbationRules(settings.probation, days, window_days, settings.outcome_refresh_seconds)
    queries = ComparisonQueries(store.standing, store.count, store.checks, store.record_check)
    report = ComparisonReport(queries, _evaluate_pair, rules, now)
    shadow = _shadow(settings, store, metrics, last_catalogue)
    if shadow is None:
        return Comparing(report)

    def report_alarms(n_alarms: int, is_alarmed: bool) -> None:  # noqa: FBT001 - called by the flow alone
        metrics.probation_known(n_alarms, is_alarmed=is_alarmed)

    checks = ProbationChecks(queries, _evaluate_pair, promoter.end_probation, report_alarms, rules, now)
    return Comparing(report, (shadow,), (checks,))


def _shadow(
    settings: Settings,
    store: PostgresComparisons,
    metrics: PrometheusMetrics,
    last_catalogue: Callable[[], Catalogue | None],
) -> Shadow | None:
    """Return the shadow; None where no setting wants other versions compared."""
    has_challenger, is_on_probation = settings.shadow == "challenger", settings.probation != "off"
    if not has_challenger and not is_on_probation:
        return None
    copies = model_store(settings)
    days = settings.probation_days if is_on_probation else 0.0
    rules = ShadowRules(has_challenger, days, settings.shadow_share, POLLS_PER_LOAD * settings.model_poll_seconds)

    def load(opponent: Opponent) -> LiveModel:
        copy = copies.read(opponent.version, opponent.manifest_sha256, opponent.artifact_folder)
        return LiveModel.of(opponent.version, *copy)

    return Shadow(
        store.standing,
        store.write,
        load,
        ShadowMetrics(metrics.response_compared, metrics.comparison_lost),
        rules,
        now,
        SystemRandom().random,  # forked workers must not draw alike
        last_catalogue,
    )


def _evaluate_pair(pair: PairOutcomes) -> PairVerdict:
    """Return the verdict on a pair of versions; scipy is imported here, in a thread, and not while the API starts."""
    from cineclub.domain.promotion.paired_lists import evaluate_pair

    return evaluate_pair(pair)


def recent_rollbacks(settings: Settings) -> tuple[RecentRollback, ...]:
    """Return the versions that probation rolled back within the largest age of a model, for the gate to hold them."""
    since = now() - timedelta(days=settings.max_model_age_days)
    return recent_rollbacks_of(promotions(settings).recent(HISTORY_READ), since)


def probation_checks(settings: Settings, limit: int) -> list[ProbationCheck]:
    """Return the checks of probations, newest first."""
    return recent_checks(database_url(settings), limit)
