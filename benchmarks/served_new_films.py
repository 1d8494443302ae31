"""The lists that the service gives of a catalogue with films that no model has learned, and their cost."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.scoreboard import filtered
from cineclub.domain.movies.attributes import AttributeTable
from cineclub.domain.movies.catalogue import Catalogue
from cineclub.domain.movies.similarity import MovieSimilarity
from cineclub.domain.ratings.crowd import CrowdCounts, CrowdWindow
from cineclub.domain.ratings.log import UserRatings
from cineclub.domain.recommend import unlearned
from cineclub.domain.recommend.live_model import LiveModel
from cineclub.domain.recommend.recommend import recommend
from cineclub.domain.recommend.request import RecommendationRequest
from cineclub.models import catalogue
from hidden_movies import MIN_RATINGS, Draw, RatedMovies
from section import Section, table_of

SERVED = ("combination", "slist", "ease")
SHORT, LONG = 10, 50
MAX_PEOPLE = 300
NOTE = (
    "One list for each person who liked something in the newest fifth of the ratings, up to "
    f"{MAX_PEOPLE} people a draw, by the function that answers `POST /predict/`, from what was known before it. The "
    f"catalogue has every film that was out by then. Learned films: nDCG@{SHORT} of the films that the model has "
    f"learned, in lists of {SHORT}, of the model alone and among all films, with the 95 % interval of the relative "
    f"difference by person; {unlearned.EXPLORING_PART:.0%} of the lists explore, and each person counts with that part "
    "of a list that does and the rest of one that does not. With a new film: the share of lists with a film that "
    f"the model has not learned. Hidden films: recall and nDCG of the liked hidden films in exploring lists of {LONG} "
    "among all films; the model alone has 0."
)


def section_of_lists(rated: RatedMovies, n_draws: int) -> Section:
    """Return the table of one set of ratings."""
    similarity = MovieSimilarity(AttributeTable.of(rated.movies))
    measured: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for seed in range(n_draws):
        draw = Draw.of(rated, similarity, seed)
        for name in SERVED:
            measured[name] += of_draw(rated, draw, name)
        print(rated.name, "lists of draw", seed, flush=True)
    rows, figures = [], dict[str, Any]()
    for name, people in measured.items():
        table = by_person(people)
        alone, among, has_new, recall, ndcg = np.nanmean(table, axis=0)
        low, high = relative_interval(table[:, 0], table[:, 1])
        names = ("alone", "among_all", "share_with_new", "recall", "ndcg")
        values = (alone, among, has_new, recall, ndcg)
        figures[name] = {key: float(value) for key, value in zip(names, values, strict=True)} | {
            "interval": [low, high]
        }
        lost = f"{among / alone - 1:+.1%} ({low:+.1%} to {high:+.1%})"
        rows.append([name, f"{alone:.4f}", f"{among:.4f}", lost, f"{has_new:.0%}", f"{recall:.3f}", f"{ndcg:.3f}"])
    head = [
        "model",
        "learned, alone",
        "among all",
        "difference",
        "with a new film",
        f"hidden, recall@{LONG}",
        f"nDCG@{LONG}",
    ]
    return Section(f"{rated.name}: lists of the service", figures, table_of(head, rows, NOTE))


def of_draw(rated: RatedMovies, draw: Draw, name: str) -> list[NDArray[np.float64]]:
    """Return for each person user, nDCG alone, nDCG among all, whether it has a new film, recall and nDCG."""
    matrix, _ = filtered(draw.known, MIN_RATINGS, MIN_RATINGS)
    fitted = catalogue.fit(catalogue.default_recipe(name), matrix, np.random.default_rng(0), lambda _fraction: None)
    out = [movie for movie, year in zip(rated.movies, rated.years.tolist(), strict=True) if year <= draw.year]
    alone = LiveModel.of(1, fitted, {movie.movie_id: movie for movie in rated.movies})
    among = alone.within(Catalogue.of(out, [0.0] * len(out)))
    crowd = CrowdWindow.of(draw.known, draw.cut, None).before
    learned = np.setdiff1d(fitted.movie_ids, among.movie_ids[among.unlearned.positions])
    return [
        np.array([user, *of_person(alone, among, crowd, history, liked, learned, draw.hidden)])
        for user, history, liked in people_of(rated, draw)
    ]


def people_of(rated: RatedMovies, draw: Draw) -> Iterator[tuple[int, UserRatings, NDArray[np.int64]]]:
    """Yield people with their known ratings, and the movies that they liked afterwards."""
    log, known = rated.log, draw.known
    later = log.take((log.rated_at >= draw.cut) & (log.ratings >= log.scale.relevance_threshold))
    users = np.intersect1d(later.user_ids, known.user_ids)
    chosen = np.random.default_rng(draw.cut % 2**32).permutation(users)[:MAX_PEOPLE]
    for user in np.sort(chosen).tolist():
        rows = slice(*np.searchsorted(known.user_ids, [user, user + 1]).tolist())
        history = UserRatings(known.movie_ids[rows], known.ratings[rows], known.rated_at[rows])
        yield user, history, later.movie_ids[later.user_ids == user]


def of_person(
    alone: LiveModel,
    among: LiveModel,
    crowd: CrowdCounts,
    history: UserRatings,
    liked: NDArray[np.int64],
    learned: NDArray[np.int64],
    hidden: NDArray[np.int64],
) -> tuple[float, float, float, float, float]:
    """Return the figures of one person; nan where nothing of a kind was liked."""
    known, unknown = np.intersect1d(liked, learned), np.intersect1d(liked, hidden)
    part, of_all, has_new = unlearned.EXPLORING_PART, 0.0, 0.0
    for weight, explores in ((1 - part, 0.0), (part, 1.0)):
        unlearned.EXPLORING_PART = explores
        movie_ids = recommend(among, RecommendationRequest(SHORT), history, crowd).movie_ids
        of_all += weight * ndcg(movie_ids, known)
        has_new += weight * float(not np.isin(movie_ids, learned).all())
    longer = recommend(among, RecommendationRequest(LONG), history, crowd).movie_ids
    unlearned.EXPLORING_PART = part
    of_alone = ndcg(recommend(alone, RecommendationRequest(SHORT), history, crowd).movie_ids, known)
    recall = float(np.isin(unknown, longer).mean()) if len(unknown) else np.nan
    return of_alone, of_all, has_new, recall, ndcg(longer, unknown)


def ndcg(movie_ids: Sequence[int], relevant: NDArray[np.int64]) -> float:
    """Return the nDCG of a list; nan without a relevant movie."""
    if not len(relevant):
        return float("nan")
    gains = 1 / np.log2(np.arange(2, len(movie_ids) + 2))
    return float(gains[np.isin(movie_ids, relevant)].sum() / gains[: len(relevant)].sum())


def by_person(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the figures of each person, (n_people, 5), means over the draws."""
    table = np.array(rows)
    users = np.unique(table[:, 0])
    with np.errstate(invalid="ignore"):
        return np.array([_mean(table[table[:, 0] == user, 1:]) for user in users])


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each column without its nans; nan for a column of nans."""
    n_known = np.count_nonzero(~np.isnan(rows), axis=0)
    return np.where(n_known, np.nansum(rows, axis=0) / np.maximum(n_known, 1), np.nan)


def relative_interval(alone: NDArray[np.float64], among: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of the relative difference of two means, by the delta method; a person counts once."""
    is_known = ~np.isnan(alone)
    alone, among = alone[is_known], among[is_known]
    ratio = among.mean() / alone.mean()
    reach = 1.96 * float((among - ratio * alone).std(ddof=1) / alone.mean() / np.sqrt(len(alone)))
    return float(ratio - 1 - reach), float(ratio - 1 + reach)
