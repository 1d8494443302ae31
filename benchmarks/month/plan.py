"""Parameters of a month, and the settings of the service that runs it."""

import socket
from dataclasses import dataclass
from math import inf
from pathlib import Path

from benchmarks.month.calendar import MAX_DAILY_RATINGS
from benchmarks.month.events import Event, events_of
from cineclub.domain.errors import InvalidInput
from cineclub.models import catalogue
from cineclub.settings import Settings

SECONDS_OF_A_DAY, HOURS_OF_A_DAY = 86_400, 24
MAX_DAYS = 366
MIN_DAY_SECONDS = 2.0
DRIFT_CHECKS_A_DAY = 8
"""About as many checks per window as with the default settings, where a window of seven days is checked daily."""

PROBATION_DAYS, OUTCOME_DAYS, COOLDOWN_DAYS = 5.0, 1.0, 1.0
MODEL_AGE_DAYS = 10.0
"""Longer than the time between the first training and the first night, so that no version is old by chance."""

MODELS = ("popular", "ease", "combination")
"""Models of each night: the trends, one with good lists that is tuned within seconds, and both combined."""

WEEKLY_MODEL, NIGHTS_OF_A_WEEK = "ials", 7
"""The model of every seventh night beside the others: a second model family, which takes longer to train."""

BROKEN_MODELS = ("random",)
"""A recipe that lists movies at random, like a training with absurd hyperparameters."""


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """Parameters of a month.

    Attributes:
        path: the ratings; None for the demo data.
        n_days: number of simulated days, 1 to 366.
        seed: seed of the evaluation's samples and resamples, and of the service.
        scenario: name of the scenario, which names the events to inject.
        day_seconds: duration of a simulated day, at least 2 seconds.
        max_daily_ratings: largest number of ratings of one user on a day.
        models: names of the models of each night but the seventh.
        step_back: how far a film steps back that was shown and not rated; None: as the service does by itself.
        preparation_seconds: time between the import and the start of the month, where the past ends.
    """

    path: Path | None
    n_days: int = 30
    seed: int = 0
    scenario: str = "calm"
    day_seconds: float = 13.0
    max_daily_ratings: int = MAX_DAILY_RATINGS
    preparation_seconds: float = 60.0
    models: tuple[str, ...] = MODELS
    step_back: float | None = None

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: a parameter is out of its range, or the scenario or a model does not exist.
        """
        for name in self.models:
            catalogue.default_recipe(name)
        events_of(self.scenario, 1)
        if not 1 <= self.n_days <= MAX_DAYS:
            message = f"a month has 1 to {MAX_DAYS} days, not {self.n_days}"
            raise InvalidInput(message)
        if not MIN_DAY_SECONDS <= self.day_seconds < inf:
            message = f"a simulated day takes at least {MIN_DAY_SECONDS:g} seconds, not {self.day_seconds:g}"
            raise InvalidInput(message)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events to inject, in order of time."""
        return events_of(self.scenario, self.n_days)

    def models_of(self, night: int) -> tuple[str, ...]:
        """Return the models that a night's training tries; night 0 is before the month."""
        is_weekly = night and night % NIGHTS_OF_A_WEEK == 0
        return tuple(dict.fromkeys((*self.models, WEEKLY_MODEL))) if is_weekly else self.models

    def settings(self, home: Path, drift_window_days: int) -> Settings:
        """Return the settings of the service: every setting in days counts simulated days."""
        day = self.day_seconds / SECONDS_OF_A_DAY
        return Settings.apart(
            home=home,
            port=_free_port(),
            probation="rollback",
            probation_days=PROBATION_DAYS * day,
            outcome_window_days=OUTCOME_DAYS * day,
            outcome_refresh_seconds=max(0.5, self.day_seconds / 14),
            shadow_share=1.0,
            worker_niceness=4,
            drift_window_days=drift_window_days * day,
            drift_check_hours=HOURS_OF_A_DAY * day / DRIFT_CHECKS_A_DAY,
            drift_cooldown_hours=COOLDOWN_DAYS * HOURS_OF_A_DAY * day,
            model_poll_seconds=0.5,
            heartbeat_timeout_seconds=5.0,
            max_model_age_days=MODEL_AGE_DAYS * day,
            seed=self.seed,
            **({} if self.step_back is None else {"step_back": self.step_back}),
        )


def _free_port() -> int:
    """Return a port of this machine that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
