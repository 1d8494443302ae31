"""The plan of a training: every limit, window and margin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from cineclub.domain.errors import InvalidInput
from cineclub.domain.recommend.recipe import Hyperparameter

SVD_GRID: Mapping[str, Sequence[Hyperparameter]] = {
    "n_factors": (20, 64),
    "learning_rate": (0.005, 0.01),
    "regularization": (0.02, 0.1),
}
SearchKind = Literal["auto", "grid", "halving"]
"""``grid`` fits every point on all ratings, ``halving`` stops bad points early, ``auto`` decides by their number."""

MAX_WINDOW_FRACTION = 0.5
N_TRENDS = 5
"""The trends of which the floor is the best: popular of all time and of four half-lives."""

HIGHEST_ONE_SIDED_LEVEL = 0.025
"""The gate's interval is never narrower than the usual one of 95 %."""

MANY_RATINGS = 5_000_000
MODELS_FOR_MANY_RATINGS = ("popular", "bias", "knn", "svd", "ials", "combination")
"""The candidates on more ratings than that, unless the caller names models: those that take minutes, not hours."""

SEARCHED_SHARE_OF_MANY = 0.1

COUNTS = (
    "min_ratings_per_user",
    "min_ratings_per_movie",
    "top_k",
    "min_judged_users",
    "n_resamples",
    "max_judged_users",
    "max_judged_ratings_per_user",
    "max_judged_ratings",
    "max_test_windows",
    "wanted_judged_users",
    "gates_a_month",
)


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of one training; the defaults are those of the documentation.

    Attributes:
        models: names of the candidates; empty means every model of the catalogue.
        min_ratings_per_user: users with fewer are left out of the fits.
        min_ratings_per_movie: movies with fewer are left out of the fits.
        test_fraction: the newest share of the ratings, evaluated for the report and the gate.
        validation_fraction: the share before it, evaluated for the search and the choice of the challenger.
        max_test_windows: the largest number of test windows of that size, one before the other, that are pooled.
        wanted_judged_users: windows are added, with the validation window before all of them, until so many users
            can be evaluated.
        top_k: the length of the evaluated lists.
        max_judged_users: of a window with more users a sample of so many, drawn by the seed, is evaluated.
        max_judged_ratings_per_user: of a user with more ratings in a window a sample of so many is evaluated.
        max_judged_ratings: the most of a window; where they are more, fewer of each user are evaluated.
        grid: the hyperparameter values of SVD's grid search.
        search: the kind of search.
        searched_user_share: the share of the users on whose ratings grid points are fitted.
        tunes_leader: whether the best candidate's model is searched too, over its own grid of the catalogue.
        seed: of every random choice.
        min_judged_users: with fewer evaluated users the gate says HOLD.
        n_resamples: bootstrap resamples of the gate.
        gates_a_month: the number of gates that share the chance of a false promotion: one every night.
        max_false_promotions_a_month: the chance that any of those promotes a model that is not better.
        non_inferiority_margin: the loss of nDCG with which a challenger still counts as not worse.
        floor_margin: the loss against the floor, as a share of its nDCG, with which a first model or a refit still
            counts as not worse.
        first_model_confidence: the confidence of the interval that must exclude such a loss for a first model.
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
    max_judged_ratings_per_user: int = 20
    max_judged_ratings: int = 20_000
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
    floor_margin: float = 0.2
    first_model_confidence: float = 0.8
    max_rmse_rise: float = 0.02
    max_coverage_fall: float = 0.2
    max_short_history_fall: float = 0.01
    max_model_age_days: float = 30.0

    def __post_init__(self) -> None:
        """Refuse a setting outside its range."""
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
        """The confidence of the gate's interval, so high that all gates of a month together keep their chance."""
        level = min(self.max_false_promotions_a_month / self.gates_a_month, HIGHEST_ONE_SIDED_LEVEL)
        return 1 - 2 * level

    @property
    def floor_confidence(self) -> float:
        """The confidence with which the floor must be better to replace production: it is the best of several trends.

        Each of them may use the same part of the chance that a challenger has.
        """
        return 1 - (1 - self.gate_confidence) / N_TRENDS

    def sized(self, n_ratings: int) -> Self:
        """Return the plan with its open settings decided for a number of ratings.

        On many ratings the candidates are the fast models, and only SVD is searched, by halving on a tenth of the
        users. Models and a kind of search that the caller names stay.
        """
        if n_ratings <= MANY_RATINGS:
            return replace(self, search="grid") if self.search == "auto" else self
        sized = replace(self, models=self.models or MODELS_FOR_MANY_RATINGS, tunes_leader=False)
        if self.search != "auto":
            return sized
        return replace(sized, search="halving", searched_user_share=SEARCHED_SHARE_OF_MANY)
