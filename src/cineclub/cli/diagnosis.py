"""What ``cineclub doctor`` looks at: one finding each, with how to mend it."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cineclub.domain.errors import CineclubError

if TYPE_CHECKING:
    from cineclub.settings import Settings

OLDEST_PYTHON = (3, 11)
LOW_DISK_GIB = 2.0
FULL_DISK_GIB = 0.2
GIB = 1024**3
DAYS_OF_REFUSALS = 7
MISSED_CHECKS = 2.5
"""Of so many intervals without a check of drift, something is the matter; the alert of Prometheus says the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination: how it stands, what was looked at, and how to mend what is not right."""

    status: Literal["OK", "WARN", "FAIL"]
    what: str
    mend: str = ""


def examine(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings one by one, what others rest on first; a part that fails does not stop the rest."""
    yield from environment_findings(settings)
    yield from _database_findings(settings)
    yield port_finding(settings)


def environment_findings(settings: "Settings") -> Iterator[Finding]:
    """Yield what can be seen without a database."""
    for look in (_python, _settings, _home, _disk):
        yield look(settings)


def _database_findings(settings: "Settings") -> Iterator[Finding]:
    """Yield what can be seen with a database, and whether there is one."""
    from cineclub import bootstrap

    try:
        with bootstrap.database(settings) as connected:
            for look in (_postgres, _ratings, _worker, _registry, _production, _refusals, _probation, _drift):
                yield _guarded(look, connected)
    except CineclubError as error:
        yield Finding("FAIL", f"PostgreSQL: {error}", _database_mend(settings))


def _guarded(look: "Callable[[Settings], Finding]", settings: "Settings") -> Finding:
    """Return what a look finds, or its error as a finding."""
    try:
        return look(settings)
    except CineclubError as error:
        return Finding("FAIL", f"{look.__name__.strip('_')}: {error}")


def _python(_: "Settings") -> Finding:
    """Look at the version of Python."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < OLDEST_PYTHON:
        return Finding("FAIL", f"Python {version}", "install Python 3.11 or newer and run make setup again")
    return Finding("OK", f"Python {version}")


def _settings(settings: "Settings") -> Finding:
    """Look for variables that are misspelled."""
    if unknown := settings.unknown_variables():
        return Finding(
            "WARN", f"no setting of cineclub: {', '.join(unknown)}", "cineclub settings lists the right names"
        )
    return Finding("OK", "every CINECLUB_* variable is a setting")


def _home(settings: "Settings") -> Finding:
    """Look whether the state folder can be written."""
    probe = settings.home / ".writable"
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        mend = "make it writable, or set CINECLUB_HOME to a folder that is"
        return Finding("FAIL", f"state folder {settings.home}: {error.strerror}", mend)
    return Finding("OK", f"state folder {settings.home} can be written")


def _disk(settings: "Settings") -> Finding:
    """Look at the room that is left for state."""
    folder = next(folder for folder in (settings.home, *settings.home.parents) if folder.exists())
    free_gib = shutil.disk_usage(folder).free / GIB
    status: Literal["OK", "WARN", "FAIL"] = "OK"
    if free_gib < LOW_DISK_GIB:
        status = "FAIL" if free_gib < FULL_DISK_GIB else "WARN"
    mend = "" if status == "OK" else "free some room, or set CINECLUB_HOME to another disk"
    return Finding(status, f"{free_gib:.1f} GiB free for state", mend)


def _postgres(settings: "Settings") -> Finding:
    """Look at the server and the version of our tables; connecting has applied missing migrations."""
    from cineclub import bootstrap

    facts = bootstrap.server_facts(settings)
    return Finding("OK", f"PostgreSQL {facts.server_version}, migration {facts.migration}")


def _ratings(settings: "Settings") -> Finding:
    """Look at the ratings to learn from; for views of the owner, at their columns first."""
    from cineclub import bootstrap

    store = bootstrap.rating_store(settings)
    if problems := store.contract_findings():
        return Finding("FAIL", "; ".join(problems), "docs/own-database.md shows the three views")
    facts = store.facts()
    what = f"{facts.n_ratings:,} ratings by {facts.n_users:,} users of {facts.n_movies:,} films"
    if not facts.n_ratings:
        return Finding("WARN", what, "cineclub import PATH, or cineclub demo for real ratings to try")
    return Finding("OK", what)


def _worker(settings: "Settings") -> Finding:
    """Look whether somebody is there to run trainings."""
    from cineclub import bootstrap

    if bootstrap.training_jobs(settings).is_worker_alive():
        return Finding("OK", "a worker is alive")
    return Finding("WARN", "no worker is alive: queued trainings wait", "cineclub serve (or cineclub worker)")


def _registry(settings: "Settings") -> Finding:
    """Look whether MLflow's store answers."""
    from cineclub import bootstrap

    version = bootstrap.registry(settings).aliased()
    return Finding("OK", f"MLflow answers; alias production: {f'version {version.version}' if version else 'unset'}")


def _production(settings: "Settings") -> Finding:
    """Look whether the model in production loads with the hashes of its promotion."""
    from cineclub import bootstrap

    promotion = bootstrap.promotions(settings).newest()
    if promotion is None:
        return Finding("WARN", "no model in production: everybody gets popular films", "cineclub train")
    fitted = bootstrap.load_served_model(settings, promotion)
    what = f"version {promotion.version} loads, {fitted.recipe.model}, {len(fitted.movie_ids):,} films"
    if reason := bootstrap.rejection_of(settings, promotion):
        return Finding(
            "WARN", f"{what}, but the gate rejected it: {reason}", "cineclub rollback, or train a better one"
        )
    return Finding("OK", what)


def _refusals(settings: "Settings") -> Finding:
    """Look for promotions that were refused a short while ago."""
    from cineclub import bootstrap

    since = datetime.now(UTC) - timedelta(days=DAYS_OF_REFUSALS)
    refused = [one for one in bootstrap.promotions(settings).versions.refusals(100) if one.refused_at >= since]
    if not refused:
        return Finding("OK", f"no promotion was refused in {DAYS_OF_REFUSALS} days")
    newest = refused[0]
    what = (
        f"{len(refused)} promotions refused in {DAYS_OF_REFUSALS} days, last version {newest.version}: {newest.reason}"
    )
    return Finding("WARN", what, "cineclub models shows them; a training registers a whole version again")


def _probation(settings: "Settings") -> Finding:
    """Look whether what serves proved worse than what it replaced, or was rolled back for that a short while ago."""
    from cineclub import bootstrap

    since = datetime.now(UTC) - timedelta(days=DAYS_OF_REFUSALS)
    alarms = [one for one in bootstrap.probation_looks(settings, 500) if one.is_alarm]
    serving = bootstrap.promotions(settings).newest()
    if serving is None or not alarms:
        return Finding("OK", f"probation of promotions: {settings.probation}, no alarm")
    newest = alarms[0]
    what = f"probation found version {newest.former_version} better than version {newest.served_version}"
    if newest.promotion_id == serving.promotion_id:
        mend = "cineclub rollback, or CINECLUB_PROBATION=rollback; GET /monitoring/comparisons shows the figures"
        return Finding("WARN", f"{what}, which serves: {newest.summary}", mend)
    if newest.looked_at >= since:
        return Finding("WARN", f"{what}, which serves no more", "cineclub models --history says what serves and why")
    return Finding("OK", f"probation of promotions: {settings.probation}, no alarm in {DAYS_OF_REFUSALS} days")


def _drift(settings: "Settings") -> Finding:
    """Look at the last check of drift."""
    from cineclub import bootstrap

    last = bootstrap.last_drift_check(settings)
    if last is None:
        return Finding("OK", "drift was never checked yet: cineclub serve does so by itself")
    what = f"drift, checked {last.checked_at:%Y-%m-%d %H:%M} UTC: {last.verdict}, {last.summary}"
    if last.verdict == "ALERT":
        return Finding("WARN", what, "cineclub drift shows every figure; cineclub train learns from what is new")
    if datetime.now(UTC) - last.checked_at > MISSED_CHECKS * timedelta(hours=settings.drift_check_hours):
        mend = "cineclub serve checks by itself: look for drift_ lines in its log; cineclub drift checks now"
        return Finding("WARN", f"{what}; no check since", mend)
    return Finding("OK", what)


def port_finding(settings: "Settings") -> Finding:
    """Look whether the port is free, or cineclub answers there."""
    from cineclub.supervisor import address_of, is_live, refuse_used_port

    address = address_of(settings)
    if is_live(address):
        return Finding("OK", f"cineclub answers at {address}")
    try:
        refuse_used_port(settings.host, settings.port)
    except CineclubError as error:
        return Finding("FAIL", str(error))
    return Finding("OK", f"{settings.host}:{settings.port} is free; nothing serves there now")


def _database_mend(settings: "Settings") -> str:
    """Return what to do about a database that does not answer."""
    if settings.database_url is None:
        return f"look at the logs below {settings.home}; cineclub backup and restore move data to a fresh CINECLUB_HOME"
    return "check CINECLUB_DATABASE_URL, and that the server runs and lets this machine in"
