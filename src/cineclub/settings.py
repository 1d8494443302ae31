"""The only reader of the environment: every setting, with its meaning and default."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cineclub.domain.errors import InvalidInput
from cineclub.domain.schedule import newest_due
from cineclub.domain.training_plan import TrainingPlan

PREFIX = "CINECLUB_"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Settings(BaseSettings):
    """Read from ``CINECLUB_*`` (and ``MLFLOW_TRACKING_URI``); ``cineclub settings`` lists them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "cineclub",
        description="folder of all state: the embedded PostgreSQL, artifacts, local copies of models",
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL to use, postgresql://user:password@host/name; unset: the embedded one"
    )
    source: Literal["internal", "external"] = Field(
        default="internal", description="internal: cineclub's own tables; external: views you define (read only)"
    )
    external_schema: str = Field(
        default="cineclub_source",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="schema of the views when CINECLUB_SOURCE=external",
    )
    mlflow_tracking_uri: str | None = Field(
        default=None,
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI"),
        description="MLflow server to use; unset: MLflow's store inside the same PostgreSQL",
    )
    host: str = Field(default="127.0.0.1", description="address that `cineclub serve` listens on")
    require_keys: bool | None = Field(
        default=None, description="whether requests need a key; unset: everywhere but on this machine's own addresses"
    )
    allowed_hosts: str = Field(
        default="",
        description="names, with commas between, under which others reach the service, as a proxy passes them on",
    )
    requests_per_minute: int = Field(default=6000, ge=1, description="how many requests a key may make in each process")
    max_body_bytes: int = Field(default=2_000_000, ge=1000, description="how large the body of a request may be")
    port: int = Field(default=8000, ge=1, le=65535, description="port that `cineclub serve` listens on")
    workers: int = Field(
        default=1, ge=1, le=64, description="how many processes of the API share the requests and the model's memory"
    )
    model_poll_seconds: float = Field(
        default=1.0, gt=0, le=60, description="how often the API looks for a newly promoted version"
    )
    heartbeat_timeout_seconds: float = Field(
        default=20.0, ge=1, description="a running training without a heartbeat for this long counts as dead"
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        description="how often a training is tried whose worker dies, or under which PostgreSQL goes away",
    )
    training_schedule: str | None = Field(
        default=None,
        description="when trainings start by themselves, a cron line in UTC such as 0 4 * * *; unset: never",
    )
    retrain_after_ratings: int | None = Field(
        default=None, ge=1, description="start a training when this many ratings are new since the last; unset: never"
    )
    worker_niceness: int = Field(
        default=10, ge=0, le=19, description="by how much a training yields the processor to answers; 0: not at all"
    )
    history_cache: bool = Field(
        default=True,
        description="keep histories in memory while PostgreSQL tells of every change; never with the owner's views",
    )
    prediction_log_size: int = Field(
        default=10_000, ge=1, description="answers waiting to be logged; more are dropped and counted"
    )
    prediction_log_days: int = Field(
        default=90,
        ge=1,
        le=36_500,
        description="logged answers that are older are deleted; at least the outcome window",
    )
    outcome_window_days: float = Field(
        default=7.0,
        gt=0,
        le=365,
        validate_default=True,
        description="a film rated within so many days after it was recommended counts as taken",
    )
    outcome_refresh_seconds: float = Field(
        default=300.0, gt=0, le=86_400, description="how often the outcomes in /metrics are counted anew"
    )
    shadow: Literal["off", "challenger"] = Field(
        default="off", description="challenger: the newest held version is asked beside the served one, see monitoring"
    )
    shadow_share: float = Field(
        default=0.2, gt=0, le=1, description="share of the answers that another version is asked for too"
    )
    probation: Literal["off", "alert", "rollback"] = Field(
        default="off",
        description="what follows when people like the former version's lists better after a promotion",
    )
    probation_days: float = Field(
        default=7.0, gt=0, le=365, description="how long the former version is compared after a promotion"
    )
    drift_action: Literal["off", "alert", "retrain"] = Field(
        default="alert",
        description="what follows from drift: nothing, an alert to the webhook, or that and a training",
    )
    drift_check_hours: float = Field(
        default=24.0, gt=0, le=24 * 366, description="how often the service checks by itself whether ratings drift"
    )
    drift_window_days: float = Field(
        default=7.0, gt=0, le=366, description="how many days are compared with earlier ones"
    )
    drift_threshold_pct: float = Field(
        default=10.0, ge=0.1, le=1000, description="a figure that changes by fewer percent is never drift"
    )
    drift_cooldown_hours: float = Field(
        default=72.0,
        ge=0,
        le=24 * 366,
        description="after an alert or a training because of drift, for so long no other",
    )
    alert_webhook: SecretStr | None = Field(
        default=None, description="address (http or https) that alerts are posted to as JSON; unset: none"
    )
    snapshots_kept: int = Field(
        default=10,
        ge=0,
        description="how many of the newest snapshots of ratings stay, for `cineclub reproduce`; production's own "
        "stays too; 0: none is kept",
    )
    min_ratings_per_user: int = Field(default=5, ge=1, description="users with fewer ratings are not learned from")
    min_ratings_per_movie: int = Field(default=5, ge=1, description="films with fewer ratings are not learned from")
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="newest share of the ratings, for the gate")
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="the share before it, for tuning")
    search: Literal["auto", "grid", "halving"] = Field(
        default="auto",
        description="grid: every point is tried; halving: hopeless ones stop early; auto: halving above 5 M ratings",
    )
    seed: int = Field(default=0, ge=0, description="what every random choice of a training derives from")
    max_model_age_days: float = Field(
        default=30.0, gt=0, description="an older production model may be replaced by one that is not worse"
    )

    @classmethod
    def apart(cls, **values: Any) -> Self:
        """Return settings of these values, and else the defaults, whatever the environment says.

        Raises:
            ValidationError: a value is not what it may be.
        """
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in cls.model_fields.items()
            if name not in values
        }
        return cls(**{cls._given_as(name): value for name, value in (defaults | values).items()})

    @classmethod
    def _given_as(cls, name: str) -> str:
        """Return the name by which a value is given in a program."""
        alias = cls.model_fields[name].validation_alias
        return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which another process has the same settings; what is not set is left out."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            self.variable_of(name): str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in values.items()
            if value is not None
        }

    @classmethod
    def variable_of(cls, name: str) -> str:
        """Return the environment variable of a setting."""
        given_as = cls._given_as(name)
        return f"{PREFIX}{name.upper()}" if given_as == name else given_as

    @classmethod
    def unknown_variables(cls) -> list[str]:
        """Return the variables that look like settings of ours and are none, in alphabetic order."""
        known = {cls.variable_of(name) for name in cls.model_fields}
        return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)

    @field_validator("database_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what is no address of a PostgreSQL, without repeating it: it may hold a password."""
        if value is not None and not re.match(r"^postgres(ql)?://", value.get_secret_value()):
            message = "must look like postgresql://user:password@host/name"
            raise ValueError(message)
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse what alerts cannot be posted to, without repeating it: it may hold a token; an empty one is none."""
        if value is None or not value.get_secret_value().strip():
            return None
        if not re.match(r"^https?://[^/\s]+\S*$", value.get_secret_value()):
            message = "must look like https://host/path"
            raise ValueError(message)
        if re.match(r"^https?://[^/?#]*@", value.get_secret_value()):
            message = "must have no user and password before the host: use an address whose path holds the token"
            raise ValueError(message)
        return value

    @field_validator("outcome_window_days")
    @classmethod
    def _is_within_the_log(cls, value: float, info: ValidationInfo) -> float:
        """Refuse a window that outlasts the log: its last days would find no answers."""
        kept_days = info.data.get("prediction_log_days")
        if kept_days is not None and value > kept_days:
            message = f"must be at most {kept_days}, the days that CINECLUB_PREDICTION_LOG_DAYS keeps"
            raise ValueError(message)
        return value

    @field_validator("training_schedule")
    @classmethod
    def _is_a_schedule(cls, value: str | None) -> str | None:
        """Refuse a line that could never be due, rather than at night; an empty one is none."""
        line = " ".join((value or "").split())
        if not line:
            return None
        try:
            newest_due(line, datetime.now(UTC))
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return line

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach the service."""
        return self.host.strip("[]").lower() in LOOPBACK

    @property
    def needs_keys(self) -> bool:
        """Whether requests need a key."""
        return not self.is_loopback if self.require_keys is None else self.require_keys

    def training_plan(self, models: tuple[str, ...] = ()) -> TrainingPlan:
        """Return the plan of a training of these candidates (empty: all)."""
        return TrainingPlan(
            models=models,
            min_ratings_per_user=self.min_ratings_per_user,
            min_ratings_per_movie=self.min_ratings_per_movie,
            test_fraction=self.test_fraction,
            validation_fraction=self.validation_fraction,
            search=self.search,
            seed=self.seed,
            max_model_age_days=self.max_model_age_days,
        )
