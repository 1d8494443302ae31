"""Quality of lists of films, for peers and cineclub by the same code."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cineclub.domain.evaluation.metrics import ndcg_at_k, recall_at_k
from cineclub.domain.evaluation.splitting import EvaluationWindow

NDCG_LENGTH, RECALL_LENGTH = 10, 20
NO_MOVIE = -1


@dataclass(frozen=True, slots=True)
class Quality:
    """nDCG@10 and recall@20 of each user of a window, shape (n_users,); NaN without a liked held-out film."""

    ndcg: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def mean_ndcg(self) -> float:
        """The mean over evaluated users."""
        return float(np.nanmean(self.ndcg))

    @property
    def mean_recall(self) -> float:
        """The mean over evaluated users."""
        return float(np.nanmean(self.recall))


def quality_of(lists: NDArray[np.int64], window: EvaluationWindow) -> Quality:
    """Return the quality of lists of film ids, shape (n_users, 20), -1 at an empty place."""
    rows = np.repeat(np.arange(len(window)), np.diff(window.held_out_starts))
    is_liked = window.held_out.ratings >= np.float32(window.scale.relevance_threshold)
    width = int(max(lists.max(), window.held_out.movie_ids.max())) + 2
    liked = rows[is_liked] * width + window.held_out.movie_ids[is_liked]
    hits = np.isin(np.arange(len(window))[:, None] * width + lists, liked) & (lists != NO_MOVIE)
    n_liked = np.bincount(rows[is_liked], minlength=len(window))
    return Quality(ndcg_at_k(hits[:, :NDCG_LENGTH], n_liked), recall_at_k(hits[:, :RECALL_LENGTH], n_liked))


def mean_quality(qualities: list[Quality]) -> Quality:
    """Return each user's mean over several seeds."""
    return Quality(
        np.mean([quality.ndcg for quality in qualities], axis=0),
        np.mean([quality.recall for quality in qualities], axis=0),
    )
