"""What a training is asked to do: every limit, window and margin of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recipe import Hyperparameter

SVD_GRID: Mapping[str, Sequence[Hyperparameter]] = {
    "n_factors": (20, 64),
    "learning_rate": (0.005, 0.01),
    "regularization": (0.02, 0.1),
}


MAX_WINDOW_FRACTION = 0.5


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of one training; the defaults are those of the documentation.

    Attributes:
        models: names of the candidates; empty means every model of the catalogue.
        min_ratings_per_user: users with fewer leave before the models learn.
        min_ratings_per_movie: films with fewer leave before the models learn.
        test_fraction: the newest share of the ratings, judged for the report and the gate.
        validation_fraction: the share before it, judged for tuning and for choosing the challenger.
        top_k: the length of the judged lists.
        grid: the hyperparameter values that the grid search of SVD tries.
        seed: what every random choice of the run derives from.
        min_judged_users: below this many judged users the gate says HOLD.
        n_resamples: bootstrap resamples of the gate.
        non_inferiority_margin: how much nDCG a challenger may lose and still count as not worse.
        max_rmse_rise: guardrail, in rating units of a 5-star scale.
        max_coverage_fall: guardrail, as a share of production's coverage.
        max_short_history_fall: guardrail, nDCG of users with 1 to 4 ratings.
        max_model_age_days: a production model older than this may be replaced by one that is not worse.
    """

    models: tuple[str, ...] = ()
    min_ratings_per_user: int = 5
    min_ratings_per_movie: int = 5
    test_fraction: float = 0.1
    validation_fraction: float = 0.1
    top_k: int = 10
    grid: Mapping[str, Sequence[Hyperparameter]] = field(default_factory=lambda: dict(SVD_GRID))
    seed: int = 0
    min_judged_users: int = 50
    n_resamples: int = 2000
    non_inferiority_margin: float = 0.005
    max_rmse_rise: float = 0.02
    max_coverage_fall: float = 0.2
    max_short_history_fall: float = 0.01
    max_model_age_days: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what no run can follow, naming the setting and what it may be."""
        for name in ("min_ratings_per_user", "min_ratings_per_movie", "top_k", "min_judged_users", "n_resamples"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, not {getattr(self, name)}"
                raise InvalidInput(message)
        for name in ("test_fraction", "validation_fraction"):
            if not 0 < getattr(self, name) < MAX_WINDOW_FRACTION:
                message = f"{name} must be between 0 and {MAX_WINDOW_FRACTION}, not {getattr(self, name)}"
                raise InvalidInput(message)
