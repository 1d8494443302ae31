"""The checks of ``cineclub doctor``: each returns a finding, with its fix."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cineclub.domain.errors import CineclubError
from cineclub.runtime.redaction import sentence_of

if TYPE_CHECKING:
    from cineclub.settings import Settings

OLDEST_PYTHON = (3, 11)
LOW_DISK_GIB = 2.0
FULL_DISK_GIB = 0.2
GIB = 1024**3
DAYS_OF_REFUSALS = 7
MISSED_CHECKS = 2.5
"""Intervals without a drift check that are a problem; the alert in Prometheus uses the same number."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: its status, its message, and how to fix a problem."""

    status: Literal["OK", "WARN", "FAIL"]
    what: str
    fix: str = ""


def examine(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings, prerequisites first; a failed check does not stop the others."""
    yield from environment_findings(settings)
    yield from _database_findings(settings)
    yield port_finding(settings)


def environment_findings(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings that need no database."""
    for check in (_python, _settings, _home, _disk):
        yield _guarded(check, settings)


def _database_findings(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings of the database, or that it does not answer."""
    from cineclub.bootstrap import storage

    try:
        with storage.database(settings) as connected:
            for check in (
                _postgres,
                _ratings,
                _future_ratings,
                _worker,
                _registry,
                _production,
                _erasures,
                _refusals,
                _probation,
                _drift,
            ):
                yield _guarded(check, connected)
    except CineclubError as error:
        yield Finding("FAIL", f"PostgreSQL: {sentence_of(error)}", _database_fix(settings))


def _guarded(check: "Callable[[Settings], Finding]", settings: "Settings") -> Finding:
    """Return the finding of a check, or its error as a finding."""
    try:
        return check(settings)
    except CineclubError as error:
        return Finding("FAIL", f"{check.__name__.strip('_')}: {sentence_of(error)}")
    except OSError as error:
        from cineclub.runtime.file_errors import explanation_of

        return Finding("FAIL", f"{check.__name__.strip('_')}: {explanation_of(error) or error}")


def _python(_: "Settings") -> Finding:
    """Check the version of Python."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return Finding("FAIL", f"Python {version}", "install Python 3.11 or newer and run make setup again")
    return Finding("OK", f"Python {version}")


def _settings(settings: "Settings") -> Finding:
    """Check for misspelled variables."""
    if unknown := settings.unknown_variables():
        what = f"no setting of cineclub: {', '.join(unknown)}"
        return Finding("WARN", what, "cineclub settings lists the valid names")
    return Finding("OK", "every CINECLUB_* variable is a setting")


def _home(settings: "Settings") -> Finding:
    """Check that the state folder is writable."""
    probe = settings.home / ".writable"
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        fix = "make it writable, or set CINECLUB_HOME to a folder that is"
        return Finding("FAIL", f"state folder {settings.home}: {error.strerror}", fix)
    return Finding("OK", f"state folder {settings.home} is writable")


def _disk(settings: "Settings") -> Finding:
    """Check the free space for state."""
    folder = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free_gib = shutil.disk_usage(folder).free / GIB
    what = f"{free_gib:.1f} GiB free for state"
    if free_gib >= LOW_DISK_GIB:
        return Finding("OK", what)
    fix = "free disk space, or set CINECLUB_HOME to another disk"
    return Finding("FAIL" if free_gib < FULL_DISK_GIB else "WARN", what, fix)


def _postgres(settings: "Settings") -> Finding:
    """Report the versions of server and tables; connecting has applied missing migrations."""
    from cineclub.bootstrap import storage

    facts = storage.server_facts(settings)
    return Finding("OK", f"PostgreSQL {facts.server_version}, migration {facts.migration}")


def _ratings(settings: "Settings") -> Finding:
    """Check the ratings, and before them the columns of external views."""
    from cineclub.bootstrap import storage

    store = storage.rating_store(settings)
    if problems := store.contract_findings():
        return Finding("FAIL", "; ".join(problems), "docs/own-database.md shows the three views")
    facts = store.facts()
    what = f"{facts.n_ratings:,} ratings by {facts.n_users:,} users of {facts.n_movies:,} films"
    if not facts.n_ratings:
        return Finding("WARN", what, "cineclub import PATH, or cineclub demo for real ratings to try")
    return Finding("OK", what)


def _future_ratings(settings: "Settings") -> Finding:
    """Check for ratings that are dated after now."""
    from cineclub.bootstrap import storage

    store = storage.rating_store(settings)
    if store.contract_findings():
        return Finding("OK", "ratings dated after now: not counted before the views are right")
    future = store.future()
    if not future.n_ratings:
        return Finding("OK", "no rating is dated after now")
    what = f"{future.n_ratings:,} ratings are dated after now, the newest {future.newest_rated_at:%Y-%m-%d %H:%M} UTC"
    fix = "they count as of now for trends: correct rated_at where ratings are written, and in the stored rows"
    return Finding("WARN", what, fix)


def _worker(settings: "Settings") -> Finding:
    """Check that a worker is alive."""
    from cineclub.bootstrap import storage

    if storage.training_jobs(settings).is_worker_alive():
        return Finding("OK", "a worker is alive")
    return Finding("WARN", "no worker is alive: queued trainings wait", "cineclub serve (or cineclub worker)")


def _registry(settings: "Settings") -> Finding:
    """Check that MLflow's store answers, and that the registered model may be this installation's; tag nothing."""
    from cineclub.bootstrap import storage

    storage.model_versions(settings).is_unclaimed()
    version = storage.registry(settings).aliased()
    return Finding("OK", f"MLflow answers; alias production: {f'version {version.version}' if version else 'unset'}")


def _production(settings: "Settings") -> Finding:
    """Check that the model in production loads with the hashes of its promotion."""
    from cineclub.bootstrap import storage

    promotion = storage.promotions(settings).newest()
    if promotion is None:
        return Finding("WARN", "no model in production: all users get popular films", "cineclub train")
    fitted = storage.model_store(settings).read(*promotion.key, promotion.artifact_folder)[0]
    what = f"version {promotion.version} loads, {fitted.recipe.model}, {len(fitted.movie_ids):,} films"
    if reason := storage.promotions(settings).rejection(*promotion.key):
        what = f"{what}, but the gate rejected it: {reason}"
        return Finding("WARN", what, "cineclub rollback, or train a better one")
    return Finding("OK", what)


def _erasures(settings: "Settings") -> Finding:
    """Check whether the version in production may have learned from an erased user."""
    from cineclub.bootstrap import storage

    erased_at = storage.erased_after_learning(settings)
    if erased_at is None:
        return Finding("OK", "the version in production has learned from no erased user")
    what = (
        f"the version in production may have learned from a user who was erased on {erased_at:%Y-%m-%d}, "
        "until the version of a later training serves"
    )
    fix = "a worker trains without them by itself, once; after a failed training or a rollback: cineclub train"
    return Finding("WARN", what, fix)


def _refusals(settings: "Settings") -> Finding:
    """Check for recently refused promotions."""
    from cineclub.bootstrap import storage

    since = datetime.now(UTC) - timedelta(days=DAYS_OF_REFUSALS)
    refusals = storage.promotions(settings).refusals(100)
    recent = [refusal for refusal in refusals if refusal.refused_at >= since]
    if not recent:
        return Finding("OK", f"no promotion was refused in {DAYS_OF_REFUSALS} days")
    version, reason = recent[0].version, recent[0].reason
    what = f"{len(recent)} promotions refused in {DAYS_OF_REFUSALS} days, last version {version}: {reason}"
    return Finding("WARN", what, "cineclub models lists them; a new training registers an intact version")


def _probation(settings: "Settings") -> Finding:
    """Check for a probation alarm about the version that serves, or a recent alarm."""
    from cineclub.bootstrap import storage
    from cineclub.bootstrap.online_comparison import probation_checks

    since = datetime.now(UTC) - timedelta(days=DAYS_OF_REFUSALS)
    alarms = [check for check in probation_checks(settings, 500) if check.is_alarm]
    serving = storage.promotions(settings).newest()
    if serving is None or not alarms:
        return Finding("OK", f"probation of promotions: {settings.probation}, no alarm")
    newest = alarms[0]
    what = f"probation found version {newest.former_version} better than version {newest.served_version}"
    if newest.promotion_id == serving.promotion_id:
        fix = "cineclub rollback, or CINECLUB_PROBATION=rollback; GET /monitoring/comparisons shows the figures"
        return Finding("WARN", f"{what}, which serves: {newest.summary}", fix)
    if newest.looked_at >= since:
        return Finding("WARN", f"{what}, which no longer serves", "cineclub models --history lists the promotions")
    return Finding("OK", f"probation of promotions: {settings.probation}, no alarm in {DAYS_OF_REFUSALS} days")


def _drift(settings: "Settings") -> Finding:
    """Report the last drift check."""
    from cineclub.bootstrap.drift import last_drift_check

    last = last_drift_check(settings)
    if last is None:
        return Finding("OK", "drift was never checked yet: cineclub serve checks it on schedule")
    what = f"drift, checked {last.checked_at:%Y-%m-%d %H:%M} UTC: {last.verdict}, {last.summary}"
    if last.verdict == "ALERT":
        return Finding("WARN", what, "cineclub drift shows all statistics; cineclub train learns from new ratings")
    if datetime.now(UTC) - last.checked_at > MISSED_CHECKS * timedelta(hours=settings.drift_check_hours):
        fix = "cineclub serve checks on schedule: look for drift_ lines in its log; cineclub drift checks now"
        return Finding("WARN", f"{what}; no check since", fix)
    return Finding("OK", what)


def port_finding(settings: "Settings") -> Finding:
    """Check that the port is free, or that cineclub answers there."""
    from cineclub.processes.supervisor import address_of, is_live, refuse_used_port

    address = address_of(settings)
    if is_live(address):
        return Finding("OK", f"cineclub answers at {address}")
    try:
        refuse_used_port(settings.host, settings.port)
    except CineclubError as error:
        return Finding("FAIL", sentence_of(error))
    return Finding("OK", f"{settings.host}:{settings.port} is free")


def _database_fix(settings: "Settings") -> str:
    """Return the fix for a database that does not answer."""
    if settings.database_url is None:
        return f"read the logs in {settings.home}; cineclub backup and restore move data to a new CINECLUB_HOME"
    return "check CINECLUB_DATABASE_URL, and that the server runs and accepts connections from this machine"
