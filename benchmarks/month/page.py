"""The page of a month: promises, curves and tables as one self-contained HTML file without scripts."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.month.plots import plot_of
from benchmarks.month.report import MonthReport, days_in_words, in_words

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _figure(value: float | None, digits: int = 4) -> str:
    """Return a figure, a dash for none."""
    return "-" if value is None else f"{value:.{digits}f}"


TEMPLATES.filters |= {
    "in_words": in_words,
    "days_in_words": days_in_words,
    "grouped": "{:,}".format,
    "figure": _figure,
}


def page_of(month: MonthReport) -> str:
    """Return the report as HTML."""
    plots = (plot_of(month), plot_of(month, "ndcg"))
    return TEMPLATES.get_template("page.html.jinja").render(month=month, plots=plots)
