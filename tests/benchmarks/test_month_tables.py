"""The tables of the kept months in the documentation are those of the kept reports."""

from pathlib import Path

import pytest

from benchmarks.month.summary import KeptMonth, agreement_table, kept_months, results_table

DOCS = Path(__file__).parents[2] / "docs"


def months() -> list[KeptMonth]:
    """Return the kept months."""
    return list(kept_months(DOCS / "month"))


def test_every_set_and_scenario_is_kept_with_three_seeds() -> None:
    """Two sets of ratings, calm and with every event, have the seeds 0, 1 and 2, each with its page."""
    titles = [month.title for month in months()]
    assert len(titles) == len(set(titles)) == 12
    assert all((DOCS / "month" / month.page).is_file() for month in months())


@pytest.mark.parametrize(("page", "table"), [("month.md", results_table), ("evaluation.md", agreement_table)])
def test_the_documentation_has_the_table_of_the_kept_reports(page: str, table: object) -> None:
    """The page holds the table as ``make month-tables`` prints it."""
    assert callable(table)
    assert table(months()) in (DOCS / page).read_text()
