"""Rating logs for property tests, with few users and films so that coincidences are frequent."""

import numpy as np
from hypothesis import strategies as st

from cineclub.domain.ratings.log import RatingLog, RatingScale

STARS = RatingScale(0.5, 5.0)


def log_of(rows: list[tuple[int, int, float, int]], scale: RatingScale = STARS) -> RatingLog:
    """Return the log of rows (user, film, rating, time in microseconds)."""
    users, movies, ratings, times = zip(*rows, strict=True) if rows else ((), (), (), ())
    return RatingLog.from_columns(
        np.array(users, np.int64),
        np.array(movies, np.int64),
        np.array(ratings, np.float32),
        np.array(times, np.int64),
        scale,
    )


@st.composite
def rating_logs(draw: st.DrawFn, min_size: int = 0) -> RatingLog:
    """Draw a log with at most 8 users and 8 films, with many equal times."""
    pairs = draw(st.sets(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=min_size, max_size=40))
    stars = st.sampled_from([0.5, 2.0, 3.5, 4.0, 5.0])
    return log_of([(user, movie, draw(stars), draw(st.integers(0, 12))) for user, movie in sorted(pairs)])


def rows_of(log: RatingLog) -> set[tuple[int, int]]:
    """Return the (user, film) pairs of a log."""
    return set(zip(log.user_ids.tolist(), log.movie_ids.tolist(), strict=True))
