"""Tables of scoreboards on 80 columns: those of a window walked in time, and those of the other splits."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tastes import log_of_tastes

from cineclub.cli.tables import scoreboard_note, scoreboard_table
from cineclub.domain.documents import to_document
from cineclub.domain.evaluation.scoreboard import names_of, rows_of
from cineclub.domain.evaluation.splitting import SplitKind
from cineclub.domain.recommend.recipe import Recipe
from cineclub.flows.evaluation import evaluate_ratings

COLUMNS = 80
TITLES = ["popular, all time", "popular, 1 day", "popular, 3 days", "popular, 7 days", "popular, 30 days"]


def rows(split: SplitKind) -> Sequence[Mapping[str, Any]]:
    """Return the JSON rows of EASE on a split."""
    report = evaluate_ratings(log_of_tastes(), ("ease",), split, 0.3, 0, searched="none")
    documents: Sequence[Mapping[str, Any]] = to_document(list(rows_of(report.scoreboard.candidates)))
    return documents


def lines_of(of_split: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the printed lines of a table."""
    console = Console(width=COLUMNS, file=io.StringIO())
    console.print(scoreboard_table("a title", of_split))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_prequential_table_has_every_baseline_each_on_one_line_of_80_columns() -> None:
    """Baselines stand in it whatever models were asked for, and the note says what each column is a mean of."""
    of_split = rows("prequential")
    lines = lines_of(of_split)
    assert max(map(len, lines)) <= COLUMNS
    heads = ["model", "nDCG@10", "±", "likes", "new", "cover.", "RMSE", "fit", "s", "ms"]
    assert any(line.split() == heads for line in lines)
    for name in ("ease", *TITLES, "bias", "random"):
        assert sum(line.strip().startswith(f"{name} ") for line in lines) == 1, name
    best = max(of_split, key=lambda row: row["metrics"]["ndcg_at_10"])
    note = scoreboard_note(of_split)
    assert all(len(line) <= COLUMNS for line in note.splitlines())
    assert f"{best['n_judged_likes']:,} likes" in note
    assert f"mean of {best['n_judged_users']:,} users" in note
    assert best["n_judged_likes"] >= best["n_judged_users"]


def test_a_table_of_another_split_is_as_before() -> None:
    """Nothing is added to it: its rows are users, with several held-out likes each."""
    of_split = rows("last-out")
    heads = ["model", "nDCG@10", "recall", "prec.", "cover.", "RMSE", "fit", "s", "ms"]
    lines = lines_of(of_split)
    assert any(line.split() == heads for line in lines)
    assert [row["name"] for row in of_split] == ["ease"]
    assert of_split[0]["n_judged_likes"] is None
    assert scoreboard_note(of_split) == ""


@pytest.mark.parametrize(
    ("hyperparameters", "title"),
    [
        ({}, "popular, all time"),
        ({"half_life_days": 1.0, "window_days": 0.0}, "popular, 1 day"),
        ({"half_life_days": 30.0}, "popular, 30 days"),
        ({"window_days": 14.0}, "popular, last 14 days"),
    ],
)
def test_popular_says_whose_likes_count(hyperparameters: dict[str, float], title: str) -> None:
    """The title names the time; a second recipe of one title is the tuned one."""
    recipe = Recipe("popular", hyperparameters)
    assert recipe.title == title
    assert names_of([recipe, Recipe("ease"), recipe]) == [title, "ease", f"{title}, tuned"]
    assert np.unique([recipe.title, Recipe("ease").title]).size == 2
