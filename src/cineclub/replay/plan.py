"""What a month is asked to be, and the settings under which the service lives through it."""

import socket
from dataclasses import dataclass
from pathlib import Path

from cineclub.domain.errors import InvalidInput
from cineclub.domain.replay.calendar import MOST_A_DAY
from cineclub.domain.replay.events import Event, events_of
from cineclub.settings import Settings

SECONDS_OF_A_DAY, HOURS_OF_A_DAY = 86_400, 24
LONGEST_DAYS = 366
SHORTEST_DAY_SECONDS = 2.0
DRIFT_CHECKS_A_DAY = 8
"""About as many in a window as the defaults make, a check each day over seven days."""

PROBATION_DAYS, OUTCOME_DAYS, COOLDOWN_DAYS = 5.0, 1.0, 1.0
MODEL_AGE_DAYS = 10.0
"""More than lies between the first training and the first night, or it would depend on seconds whether that is old."""

MODELS = ("popular", "ease")
"""What each night tries: the floor, and one whose lists are good and that is tuned within seconds."""

WEEKLY_MODELS, NIGHTS_OF_A_WEEK = ("ease", "ials"), 7
"""What every seventh night tries: another kind of model too, which takes longer."""

BROKEN_MODELS = ("random",)
"""A recipe that lists films by chance, as a training does whose hyperparameters are out of all reason."""


@dataclass(frozen=True, slots=True)
class MonthPlan:
    """What a month is asked to be.

    Attributes:
        path: the ratings; None for the demo data.
        n_days: how many simulated days are played.
        seed: what the judging's samples and resamples derive from.
        scenario: which events are injected.
        day_seconds: how long a simulated day takes.
        most_a_day: how many ratings one person gives on a day at most.
        preparation_seconds: how long after the import the month begins; the past ends there.
    """

    path: Path | None
    n_days: int = 30
    seed: int = 0
    scenario: str = "calm"
    day_seconds: float = 13.0
    most_a_day: int = MOST_A_DAY
    preparation_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what no month can be."""
        events_of(self.scenario, 1)
        if not 1 <= self.n_days <= LONGEST_DAYS:
            message = f"a month has 1 to {LONGEST_DAYS} days, not {self.n_days}"
            raise InvalidInput(message)
        if self.day_seconds < SHORTEST_DAY_SECONDS:
            message = f"a simulated day takes at least {SHORTEST_DAY_SECONDS:g} seconds, not {self.day_seconds:g}"
            raise InvalidInput(message)

    @property
    def events(self) -> tuple[Event, ...]:
        """What is injected, in order of time."""
        return events_of(self.scenario, self.n_days)

    def models_of(self, night: int) -> tuple[str, ...]:
        """Return what a night's training tries; night 0 is before the month."""
        return WEEKLY_MODELS if night and night % NIGHTS_OF_A_WEEK == 0 else MODELS

    def settings(self, home: Path, drift_window_days: int) -> Settings:
        """Return the settings of the service: what is said in days is said in simulated ones."""
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
        )


def _free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
