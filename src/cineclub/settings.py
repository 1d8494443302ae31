"""The only reader of the environment: every setting, with its meaning and default."""

import ipaddress
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cineclub.domain.errors import InvalidInput
from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.training.schedule import newest_due
from cineclub.runtime.addresses import problem_of_database_address, problem_of_web_address
from cineclub.runtime.redaction import hide, hide_path

PREFIX = "CINECLUB_"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Settings(BaseSettings):
    """Read from ``CINECLUB_*`` (and ``MLFLOW_TRACKING_URI``); ``cineclub settings`` lists them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True)

    home: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "cineclub",
        description="folder of all state: the embedded PostgreSQL, artifacts, local copies of models",
    )
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL to use, postgresql://user:password@host/name; unset: the embedded one"
    )
    direct_database_url: SecretStr | None = Field(
        default=None,
        description="the same PostgreSQL without its pooler, where CINECLUB_DATABASE_URL is one such as PgBouncer",
    )
    source: Literal["internal", "external"] = Field(
        default="internal", description="internal: cineclub's own tables; external: views you define (read only)"
    )
    external_schema: str = Field(
        default="cineclub_source",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="schema of the views when CINECLUB_SOURCE=external",
    )
    mlflow_tracking_uri: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI"),
        description="MLflow server to use; unset: MLflow's store inside the same PostgreSQL",
    )
    model_name: str = Field(
        default="cineclub",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$",
        description="name of the registered model in MLflow; each installation on one MLflow server needs its own",
    )
    mlflow_wait_seconds: float = Field(
        default=300.0, ge=0, le=86_400, description="how long a training waits for an MLflow server that restarts"
    )
    host: str = Field(default="127.0.0.1", description="address that `cineclub serve` listens on")
    require_keys: bool | None = Field(
        default=None, description="whether requests need a key; unset: everywhere but on this machine's own addresses"
    )
    allowed_hosts: str = Field(
        default="", description="host names of the service, separated by commas, as a proxy passes them on"
    )
    requests_per_minute: int = Field(
        default=6000, ge=1, le=10_000_000, description="requests allowed per key in each process"
    )
    max_body_bytes: int = Field(
        default=2_000_000, ge=1000, le=1_000_000_000, description="maximal size of a request's body"
    )
    max_head_bytes: int = Field(
        default=65_536, ge=4096, le=1_000_000, description="maximal size of a request line with its headers"
    )
    max_headers: int = Field(default=100, ge=20, le=10_000, description="maximal number of headers of a request")
    head_seconds: float = Field(
        default=10.0, gt=0, le=3600, description="time for the whole head of a request; then 408, or the end"
    )
    body_seconds: float = Field(default=60.0, gt=0, le=3600, description="time for the whole body of a request")
    unread_seconds: float = Field(
        default=30.0, gt=0, le=3600, description="time in which a client must take the next 48 KB of a response"
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="open connections of each API process; fewer if few files may be open",
    )
    max_connections_per_address: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="those of one address; without limit for this machine and the proxies",
    )
    proxy_addresses: str = Field(
        default="", description="addresses or networks of proxies, separated by commas, such as 10.0.0.0/8"
    )
    port: int = Field(default=8000, ge=1, le=65535, description="port that `cineclub serve` listens on")
    workers: int = Field(
        default=1, ge=1, le=64, description="processes of the API, which share the requests and the model's memory"
    )
    hang_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="an API process whose event loop stands still for this long is replaced",
    )
    model_poll_seconds: float = Field(
        default=1.0, ge=0.01, le=60, description="interval in which the API checks for a newly promoted version"
    )
    heartbeat_timeout_seconds: float = Field(
        default=20.0, ge=1, le=86_400, description="a running training without a heartbeat for this long counts as dead"
    )
    max_attempts: int = Field(
        default=3, ge=1, le=1000, description="attempts at a training that loses its worker or PostgreSQL"
    )
    training_schedule: str | None = Field(
        default=None, description="cron line in UTC of scheduled trainings, such as 0 4 * * *; unset: none"
    )
    retrain_after_ratings: int | None = Field(
        default=None,
        ge=1,
        le=10**12,
        description="new ratings since the last training that start another; unset: never",
    )
    worker_niceness: int = Field(
        default=10, ge=0, le=19, description="niceness of trainings, so that requests are served first; 0: no priority"
    )
    history_cache: bool = Field(
        default=True,
        description="keep histories in memory while PostgreSQL reports every change; never with external views",
    )
    prediction_log_size: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="recommendations that may wait to be logged; more are dropped and counted",
    )
    prediction_log_days: int = Field(
        default=90,
        ge=1,
        le=36_500,
        description="days that logged recommendations are kept; at least the outcome window",
    )
    step_back: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="how far films step back that were shown in several visits and not rated; 0: never",
    )
    outcome_window_days: float = Field(
        default=7.0,
        ge=0.0001,
        le=365,
        validate_default=True,
        description="a film rated within this many days after it was recommended counts as taken",
    )
    outcome_refresh_seconds: float = Field(
        default=300.0, ge=0.01, le=86_400, description="interval in which the outcomes in /metrics are counted"
    )
    shadow: Literal["off", "challenger"] = Field(
        default="off", description="challenger: the newest held version predicts too, and its lists are only recorded"
    )
    shadow_share: float = Field(
        default=0.2, gt=0, le=1, description="share of the requests for which another version predicts too"
    )
    probation: Literal["off", "alert", "rollback"] = Field(
        default="off", description="action when users like the former version's lists better after a promotion"
    )
    probation_days: float = Field(
        default=7.0, ge=0.0001, le=365, description="length of the comparison with the former version after a promotion"
    )
    drift_action: Literal["off", "alert", "retrain"] = Field(
        default="alert", description="action on drift: none, an alert to the webhook, or an alert and a training"
    )
    drift_check_hours: float = Field(
        default=24.0, ge=0.00001, le=24 * 366, description="interval of scheduled drift checks"
    )
    drift_window_days: float = Field(
        default=7.0, ge=0.0001, le=366, description="length of the window that is compared with earlier windows"
    )
    drift_threshold_pct: float = Field(
        default=10.0, ge=0.1, le=1000, description="change of a figure, in percent, below which it is never drift"
    )
    drift_cooldown_hours: float = Field(
        default=72.0, ge=0, le=24 * 366, description="least time between two alerts or trainings because of drift"
    )
    alert_webhook: SecretStr | None = Field(
        default=None, description="address (http or https) that alerts are posted to as JSON; unset: none"
    )
    snapshots_kept: int = Field(
        default=10,
        ge=0,
        le=100_000,
        description="newest snapshots of ratings to keep for `cineclub reproduce`, besides production's; 0: keep none",
    )
    min_ratings_per_user: int = Field(
        default=5, ge=1, le=10**9, description="trainings ignore users with fewer ratings"
    )
    min_ratings_per_movie: int = Field(
        default=5, ge=1, le=10**9, description="trainings ignore films with fewer ratings"
    )
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="newest share of the ratings, for the gate")
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.5, description="share before the newest, for tuning")
    search: Literal["auto", "grid", "halving"] = Field(
        default="auto",
        description="grid: every point is evaluated; halving: poor ones stop early; auto: halving above 5 M ratings",
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="seed of every random choice of a training")
    max_model_age_days: float = Field(
        default=30.0, gt=0, le=36_500, description="an older production model may be replaced by one that is not worse"
    )

    @classmethod
    def apart(cls, **values: Any) -> Self:
        """Return settings with these values and otherwise the defaults, regardless of the environment.

        Raises:
            ValidationError: a value is invalid.
        """
        defaults = {
            name: field.get_default(call_default_factory=True)
            for name, field in cls.model_fields.items()
            if name not in values
        }
        return cls(**{cls._given_as(name): value for name, value in (defaults | values).items()})

    @classmethod
    def _given_as(cls, name: str) -> str:
        """Return the keyword argument of a setting."""
        alias = cls.model_fields[name].validation_alias
        return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that give another process the same settings; unset ones are left out."""
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
        """Return the variables with our prefix that are no settings, in alphabetic order."""
        known = {cls.variable_of(name) for name in cls.model_fields}
        return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)

    @field_validator("direct_database_url")
    @classmethod
    def _has_a_pooler(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """Refuse a direct address without one of a pooler; an empty one counts as unset."""
        if value is None or not value.get_secret_value().strip():
            return None
        if "database_url" in info.data and info.data["database_url"] is None:
            message = "needs CINECLUB_DATABASE_URL beside it, the address of the pooler"
            raise ValueError(message)
        return cls._is_an_address(value)

    @field_validator("database_url")
    @classmethod
    def _is_an_address(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse an invalid address of a PostgreSQL, without repeating it: it may hold a password."""
        if value is not None and (problem := problem_of_database_address(value.get_secret_value())):
            raise ValueError(problem)
        return value

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _is_a_store(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse an invalid address of a store, without repeating it. An empty one counts as unset."""
        if value is None or not value.get_secret_value().strip():
            return None
        if problem := problem_of_web_address(value.get_secret_value()):
            raise ValueError(problem)
        return value

    @field_validator("alert_webhook")
    @classmethod
    def _is_a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse an invalid address, without repeating it: it may hold a token. An empty one counts as unset."""
        if value is None or not value.get_secret_value().strip():
            return None
        if not re.match(r"^https?://[^/\s]+\S*$", value.get_secret_value()):
            message = "must look like https://host/path"
            raise ValueError(message)
        if re.match(r"^https?://[^/?#]*@", value.get_secret_value()):
            message = "must have no user and password before the host: use an address whose path holds the token"
            raise ValueError(message)
        if problem := problem_of_web_address(value.get_secret_value()):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _hide_secrets(self) -> Self:
        """Let no output of this process contain a secret of these settings."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                (hide_path if name == "alert_webhook" else hide)(value.get_secret_value())
        return self

    @field_validator("proxy_addresses")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        """Refuse what is neither an address nor a network."""
        for text in value.split(","):
            if text.strip():
                ipaddress.ip_network(text.strip(), strict=False)  # raises ValueError with a message
        return value

    @field_validator("outcome_window_days")
    @classmethod
    def _is_within_the_log(cls, value: float, info: ValidationInfo) -> float:
        """Refuse a window longer than the log: the recommendations of its last days would be deleted."""
        log_days = info.data.get("prediction_log_days")
        if log_days is not None and value > log_days:
            message = f"must be at most {log_days}, the days of CINECLUB_PREDICTION_LOG_DAYS"
            raise ValueError(message)
        return value

    @field_validator("training_schedule")
    @classmethod
    def _is_a_schedule(cls, value: str | None) -> str | None:
        """Refuse a line that is never due, already at the start. An empty one counts as unset."""
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
        """Whether only this machine can reach the service."""
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
