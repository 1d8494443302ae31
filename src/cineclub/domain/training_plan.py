"""What a training is asked to do: every limit, window and margin of one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recipe import Hyperparameter

SVD_GRID: Mapping[str, Sequence[Hyperparameter]] = {
    "n_factors": (20, 64),
    "learning_rate": (0.005, 0.01),
    "regularization": (0.02, 0.1),
}
SearchKind = Literal["auto", "grid", "halving"]
"""How grid points are tried: all of them to the end, or hopeless ones stopped early; ``auto`` decides by the size."""

MAX_WINDOW_FRACTION = 0.5
HIGHEST_ONE_SIDED_LEVEL = 0.025
"""However rarely a gate is asked, its interval is at least the usual one of 95 %."""

MANY_RATINGS = 5_000_000
MODELS_FOR_MANY_RATINGS = ("popular", "bias", "knn", "svd", "ials")
"""What is tried on more ratings than that unless the caller names models: those that take minutes, not hours."""

SEARCHED_SHARE_OF_MANY = 0.1


COUNTS = (
    "min_ratings_per_user",
    "min_ratings_per_movie",
    "top_k",
    "min_judged_users",
    "n_resamples",
    "max_judged_users",
    "max_test_windows",
    "wanted_judged_users",
    "gates_a_month",
)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of one training; the defaults are those of the documentation.

    Attributes:
        models: names of the candidates; empty means every model of the catalogue.
        min_ratings_per_user: users with fewer leave before the models learn.
        min_ratings_per_movie: films with fewer leave before the models learn.
        test_fraction: the newest share of the ratings, judged for the report and the gate.
        validation_fraction: the share before it, judged for tuning and for choosing the challenger.
        max_test_windows: how many test windows of that size are pooled at most, one before the other.
        wanted_judged_users: windows are added, with the validation window before all of them, until so many people
            can be judged.
        top_k: the length of the judged lists.
        max_judged_users: in a window of more people, a sample of so many is judged, drawn by the seed.
        grid: the hyperparameter values that the grid search of SVD tries.
        search: how grid points are tried.
        searched_user_share: on the ratings of which share of the users grid points are fitted.
        tunes_leader: whether the best candidate's model is searched too, over its own grid of the catalogue.
        seed: what every random choice of the run derives from.
        min_judged_users: below this many judged users the gate says HOLD.
        n_resamples: bootstrap resamples of the gate.
        gates_a_month: among how many gates the chance of a false promotion is shared: one every night.
        max_false_promotions_a_month: the chance that any of those promotes what is not better.
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
    max_test_windows: int = 5
    wanted_judged_users: int = 200
    top_k: int = 10
    max_judged_users: int = 20_000
    grid: Mapping[str, Sequence[Hyperparameter]] = field(default_factory=lambda: dict(SVD_GRID))
    search: SearchKind = "auto"
    searched_user_share: float = 1.0
    tunes_leader: bool = True
    seed: int = 0
    min_judged_users: int = 50
    n_resamples: int = 2000
    gates_a_month: int = 30
    max_false_promotions_a_month: float = 0.1
    non_inferiority_margin: float = 0.005
    max_rmse_rise: float = 0.02
    max_coverage_fall: float = 0.2
    max_short_history_fall: float = 0.01
    max_model_age_days: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what no run can follow, naming the setting and what it may be."""
        for name in COUNTS:
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, not {getattr(self, name)}"
                raise InvalidInput(message)
        for name in ("test_fraction", "validation_fraction"):
            if not 0 < getattr(self, name) < MAX_WINDOW_FRACTION:
                message = f"{name} must be between 0 and {MAX_WINDOW_FRACTION}, not {getattr(self, name)}"
                raise InvalidInput(message)
        if not 0 < self.searched_user_share <= 1:
            message = f"searched_user_share must be above 0 and at most 1, not {self.searched_user_share}"
            raise InvalidInput(message)

    @property
    def gate_confidence(self) -> float:
        """The confidence of the gate's interval: so high that a month of gates keeps its promise together."""
        level = min(self.max_false_promotions_a_month / self.gates_a_month, HIGHEST_ONE_SIDED_LEVEL)
        return 1 - 2 * level

    def sized(self, n_ratings: int) -> Self:
        """Return the plan with what it leaves open decided for so many ratings.

        Many ratings: the models that can do them, and grid points stopped early on a tenth of the users; only SVD is
        searched. Models that the caller names, and a way to search, stay.
        """
        if n_ratings <= MANY_RATINGS:
            return replace(self, search="grid") if self.search == "auto" else self
        sized = replace(self, models=self.models or MODELS_FOR_MANY_RATINGS, tunes_leader=False)
        if self.search != "auto":
            return sized
        return replace(sized, search="halving", searched_user_share=SEARCHED_SHARE_OF_MANY)
