"""Every setting that is a number has bounds, and the service works at each of them."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import ValidationError
from small_service import running

from cineclub.bootstrap import storage
from cineclub.bootstrap.drift import last_drift_check
from cineclub.bootstrap.online_comparison import recent_rollbacks
from cineclub.cli import diagnosis
from cineclub.settings import Settings

pytestmark = pytest.mark.anyio

LEAST = 1e-9
"""The distance from a bound that is not itself allowed."""


def kinds_of(annotation: Any) -> set[type]:
    """Return the types that a setting can have."""
    return set(get_args(annotation)) if isinstance(annotation, UnionType) else {annotation}


NUMERIC = {
    name: field
    for name, field in Settings.model_fields.items()
    if kinds_of(field.annotation) & {int, float} and bool not in kinds_of(field.annotation)
}


def bounds_of(name: str) -> tuple[float, float]:
    """Return the least and the greatest value of a setting."""
    low = high = None
    for bound in NUMERIC[name].metadata:
        low = bound.ge if isinstance(bound, Ge) else bound.gt + LEAST if isinstance(bound, Gt) else low
        high = bound.le if isinstance(bound, Le) else bound.lt - LEAST if isinstance(bound, Lt) else high
    assert isinstance(low, int | float), name
    assert isinstance(high, int | float), name
    return low, high


@pytest.mark.parametrize("name", NUMERIC)
def test_every_number_has_a_least_and_a_greatest_value(name: str) -> None:
    """Beyond its bounds, or as no number, a setting is refused at the start; none overflows a time or a wait."""
    low, high = bounds_of(name)
    assert abs(low) <= high < 2**63
    if "seed" not in name:
        datetime.now(UTC) - timedelta(days=high if name.endswith("_days") else 0)
    if name.endswith(("_seconds", "_days", "_hours")):
        seconds = high * {"_hours": 3600, "onds": 1, "days": 86_400}.get(name[-4:], 3600)
        assert seconds < threading.TIMEOUT_MAX
    for value in (high * 2 + 1, low - 1, "nan", "inf", "1e999", "-inf", 10**400):
        with pytest.raises(ValidationError):
            Settings.apart(**{name: value})


@pytest.mark.parametrize("end", [0, 1], ids=["lowest", "highest"])
async def test_the_service_works_with_every_setting_at_its_bound(end: int, trained_url: str, home: Path) -> None:
    """With every number at its bound responses, drift checks, outcomes, doctor and the worker's parts have no error."""
    left_alone = {"port", "workers", "requests_per_minute", "max_body_bytes", "worker_niceness"}
    values = {name: bounds_of(name)[end] for name in NUMERIC if name not in left_alone}
    values = {name: type(NUMERIC[name].default or 0)(value) for name, value in values.items()}
    values |= {"outcome_window_days": min(values["outcome_window_days"], values["prediction_log_days"])}
    settings = Settings.apart(database_url=trained_url, home=home, **values)
    settings.training_plan()
    assert recent_rollbacks(settings) == ()
    last_drift_check(settings)
    queue = storage.training_queue(settings, "a worker")
    if storage.training_triggers(settings).start_due() is None:
        storage.training_jobs(settings).start({}, None)
    lease = queue.claim()
    assert lease is not None
    lease.finish({})
    for check in (diagnosis._drift, diagnosis._probation, diagnosis._refusals):
        assert "Error" not in diagnosis._guarded(check, settings).what
    values.pop("model_poll_seconds")
    async with running(trained_url, home, probation="alert", shadow="challenger", **values) as service:
        assert (await service.predict(1, 3))["recommendations"]
        for path in ("/monitoring/recommendations", "/monitoring/drift", "/monitoring/comparisons", "/metrics"):
            response = await service.client.get(path)
            assert response.status_code < 500, (path, response.text)
