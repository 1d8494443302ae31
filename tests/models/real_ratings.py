"""Real ratings for tests of quality, split by time and at random."""

from pathlib import Path

import numpy as np

from cineclub.domain.evaluation.splitting import Split, split_by_time
from cineclub.domain.ratings.filtering import keep_core
from cineclub.domain.ratings.log import RatingLog, RatingScale
from cineclub.domain.ratings.matrix import RatingMatrix

MICROSECONDS = 1_000_000


def log_of_folder(folder: Path) -> RatingLog:
    """Return the ratings of a MovieLens folder."""
    rows = np.loadtxt(folder / "ratings.csv", delimiter=",", skiprows=1)
    return RatingLog.from_columns(
        rows[:, 0].astype(np.int64),
        rows[:, 1].astype(np.int64),
        rows[:, 2].astype(np.float32),
        rows[:, 3].astype(np.int64) * MICROSECONDS,
        RatingScale(0.5, 5.0),
    )


def newest_tenth(log: RatingLog) -> tuple[RatingMatrix, Split]:
    """Return the training matrix, without rare users and films, and the users evaluated on the newest tenth."""
    split = split_by_time(log, 0.1)
    return RatingMatrix.from_log(keep_core(split.fit, 5, 5)[0]), split
