"""Curves of a month as SVG: hit rate or nDCG by day, with the promotions and the injected events."""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil

from benchmarks.month.report import Line, MonthReport

WIDTH = 760
LEFT, RIGHT, TOP, BOTTOM = 52, 744, 46, 262
CAPTION_Y, EVENTS_Y, ROW_HEIGHT = BOTTOM + 40, BOTTOM + 64, 18
EVENTS_A_ROW = 2
MIN_GRID_LINES = 3
ROUND_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
LETTER_WIDTH, KEY_WIDTH, GAP = 6.4, 28, 14
"""Approximate widths in the legend: of a letter, of a line sample with its space, of the space between two names."""

LEGEND_Y = 14
SMOOTHED_DAYS = 3
LABELLED_DAYS = 10
STYLE = """
.month{font:13px sans-serif;--ink:#222;--line:#ddd;--paper:#fff;--served:#0b62a4;--popular:#b35900;--frozen:#777;
--best:#2a7f3f;--trend:#7a3fa0;--event:#b0203a}
@media (prefers-color-scheme:dark){.month{--ink:#e6e6e6;--line:#444;--paper:#16181c;--served:#6cb6ff;--popular:#f0a35e;
--frozen:#aaa;--best:#7bd88f;--trend:#c79cf0;--event:#ff7b90}}
.month text{fill:var(--ink)}.month .paper{fill:var(--paper)}.month .grid{stroke:var(--line)}
.month polyline{fill:none;stroke-width:2}.month .served{stroke:var(--served);stroke-width:3}
.month .popular{stroke:var(--popular)}.month .trend{stroke:var(--trend)}
.month .frozen{stroke:var(--frozen);stroke-dasharray:5 3}
.month .best{stroke:var(--best);stroke-dasharray:2 3}.month .event{stroke:var(--event);fill:var(--event)}
.month text.event{stroke:none}.month .version{stroke:var(--served);stroke-dasharray:1 4}
"""


def plot_of(month: MonthReport, measure: str = "hit_rate") -> str:
    """Return the curves of a month, ``hit_rate`` or ``ndcg``, as a standalone SVG image for light and dark pages."""
    curves = [(_smooth(_values(line, measure)), line) for line in month.lines if line.curve]
    maximum = max((value for values, _ in curves for value in values if value is not None), default=0.0) or 1.0
    step = next((step for step in reversed(ROUND_STEPS) if maximum / step >= MIN_GRID_LINES), ROUND_STEPS[0])
    top_value = step * ceil(1.02 * maximum / step)
    height = EVENTS_Y - ROW_HEIGHT + 6 + ROW_HEIGHT * ceil(len(month.events) / EVENTS_A_ROW)
    parts = [
        *_grid(month.n_days, top_value, step),
        *_promotions(month),
        *(_curve(values, line.curve, top_value) for values, line in curves),
        *_legend([line for _, line in curves], measure),
        *_events(month),
    ]
    title = f"{'hit rate@10' if measure == 'hit_rate' else 'nDCG@10'}, {month.n_days} simulated days of {month.data}"
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="month" viewBox="0 0 {WIDTH} {height}" role="img" '
                f'width="{WIDTH}" height="{height}" aria-label="{escape(title)}">'
            ),
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _values(line: Line, measure: str) -> Sequence[float | None]:
    """Return the scores of a line by day."""
    return line.hit_rate_by_day if measure == "hit_rate" else line.ndcg_by_day


def _smooth(values: Sequence[float | None]) -> list[float | None]:
    """Return running means of three days in long months, because a single day has few users."""
    if len(values) < LABELLED_DAYS:
        return list(values)
    reach = SMOOTHED_DAYS // 2
    windows = [values[max(0, day - reach) : day + reach + 1] for day in range(len(values))]
    known = [[value for value in window if value is not None] for window in windows]
    return [sum(of_window) / len(of_window) if of_window else None for of_window in known]


def _x(at_days: float, n_days: int) -> float:
    """Return the horizontal position of a time in simulated days."""
    return LEFT + (RIGHT - LEFT) * min(at_days / n_days, 1.0)


def _grid(n_days: int, top_value: float, grid_step: float) -> Iterator[str]:
    """Yield the grid lines and the labels of both axes."""
    n_lines = round(top_value / grid_step)
    for nth in range(n_lines + 1):
        y = BOTTOM - (BOTTOM - TOP) * nth / n_lines
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{grid_step * nth:.3g}</text>'
    step = max(1, round(n_days / LABELLED_DAYS))
    for day in range(1, n_days + 1, step):
        yield f'<text x="{_x(day - 0.5, n_days):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{day}</text>'


def _curve(values: Sequence[float | None], name: str, top_value: float) -> str:
    """Return one curve."""
    points = [
        f"{_x(day + 0.5, len(values)):.1f},{BOTTOM - (BOTTOM - TOP) * value / top_value:.1f}"
        for day, value in enumerate(values)
        if value is not None
    ]
    return f'<polyline class="{name}" points="{" ".join(points)}"/>'


def _legend(lines: Sequence[Line], measure: str) -> Iterator[str]:
    """Yield the legend: the names of the curves with their means over the month."""
    x, y = float(LEFT), LEGEND_Y
    for line in lines:
        text = f"{line.name} {line.hit_rate if measure == 'hit_rate' else line.ndcg:.3f}"
        width = KEY_WIDTH + LETTER_WIDTH * len(text)
        if x + width > RIGHT:
            x, y = float(LEFT), y + ROW_HEIGHT
        yield f'<polyline class="{line.curve}" points="{x:.0f},{y} {x + KEY_WIDTH - 6:.0f},{y}"/>'
        yield f'<text x="{x + KEY_WIDTH:.0f}" y="{y + 4}">{escape(text)}</text>'
        x += width + GAP


def _promotions(month: MonthReport) -> Iterator[str]:
    """Yield a line at each promotion by the gate."""
    for promotion in month.promotions:
        x = _x(promotion.at_days, month.n_days)
        yield f'<line class="version" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'


def _events(month: MonthReport) -> Iterator[str]:
    """Yield the injected events, numbered as in the page's table, and the caption of the horizontal axis."""
    for nth, event in enumerate(month.events, start=1):
        x = _x(event.at_days, month.n_days)
        yield f'<line class="event" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
        yield f'<text class="event" x="{x + 3:.1f}" y="{TOP + 12}">{nth}</text>'
        row, column = divmod(nth - 1, EVENTS_A_ROW)
        x, y = LEFT + column * (RIGHT - LEFT) / EVENTS_A_ROW, EVENTS_Y + ROW_HEIGHT * row
        yield f'<text class="event" x="{x:.0f}" y="{y}">{nth} {escape(event.title)}</text>'
    means = f" (means of {SMOOTHED_DAYS} days)" if month.n_days >= LABELLED_DAYS else ""
    note = f"simulated day{means}; dotted: the gate let another version serve"
    yield f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{CAPTION_Y}" text-anchor="middle">{note}</text>'
