"""Curves of a month as SVG: hit rate by day, with what was promoted and what was injected below."""

from collections.abc import Iterator, Sequence
from html import escape

from cineclub.domain.replay.report import Line, MonthReport

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 52, 744, 46, 262
N_GRID_LINES = 4
SMOOTHED_DAYS = 3
LABELLED_DAYS = 10
STYLE = """
.month{font:13px sans-serif;--ink:#222;--line:#ddd;--paper:#fff;--served:#0b62a4;--popular:#b35900;--frozen:#777;
--best:#2a7f3f;--event:#b0203a}
@media (prefers-color-scheme:dark){.month{--ink:#e6e6e6;--line:#444;--paper:#16181c;--served:#6cb6ff;--popular:#f0a35e;
--frozen:#aaa;--best:#7bd88f;--event:#ff7b90}}
.month text{fill:var(--ink)}.month .paper{fill:var(--paper)}.month .grid{stroke:var(--line)}
.month polyline{fill:none;stroke-width:2}.month .served{stroke:var(--served);stroke-width:3}
.month .popular{stroke:var(--popular)}.month .frozen{stroke:var(--frozen);stroke-dasharray:5 3}
.month .best{stroke:var(--best);stroke-dasharray:2 3}.month .event{stroke:var(--event);fill:var(--event)}
.month text.event{stroke:none}.month .version{stroke:var(--served);stroke-dasharray:1 4}
"""
CLASSES = ("served", "popular", "frozen", "best")


def picture_of(month: MonthReport, measure: str = "hit_rate") -> str:
    """Return the curves of a month, ``hit_rate`` or ``ndcg``, as an SVG image of its own, for light and dark pages."""
    curves = [(_smooth(_values(line, measure)), line) for line in month.lines[: len(CLASSES)]]
    highest = max((value for values, _ in curves for value in values if value is not None), default=0.0) or 1.0
    highest = highest * 1.08
    parts = [
        *_frame(month.n_days, highest),
        *_promotions(month),
        *(_curve(values, name, highest) for (values, _), name in zip(curves, CLASSES, strict=False)),
        *_legend([line for _, line in curves], measure),
        *_events(month),
    ]
    title = f"{'hit rate@10' if measure == 'hit_rate' else 'nDCG@10'}, {month.n_days} simulated days of {month.data}"
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="month" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                f'width="{WIDTH}" height="{HEIGHT}" aria-label="{escape(title)}">'
            ),
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _values(line: Line, measure: str) -> Sequence[float | None]:
    """Return the figures of a line, day by day."""
    return line.hit_rate_by_day if measure == "hit_rate" else line.ndcg_by_day


def _smooth(values: Sequence[float | None]) -> list[float | None]:
    """Return the mean of each day and its neighbours where there are many days: a day has few people."""
    if len(values) < LABELLED_DAYS:
        return list(values)
    reach = SMOOTHED_DAYS // 2
    around = [
        [one for one in values[max(0, day - reach) : day + reach + 1] if one is not None] for day in range(len(values))
    ]
    return [sum(known) / len(known) if known else None for known in around]


def _x(at_days: float, n_days: int) -> float:
    """Return where a moment lies."""
    return LEFT + (RIGHT - LEFT) * min(at_days / n_days, 1.0)


def _frame(n_days: int, highest: float) -> Iterator[str]:
    """Yield the grid with its numbers."""
    for nth in range(N_GRID_LINES + 1):
        y = BOTTOM - (BOTTOM - TOP) * nth / N_GRID_LINES
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * nth / N_GRID_LINES:.2f}</text>'
    step = max(1, round(n_days / LABELLED_DAYS))
    for day in range(1, n_days + 1, step):
        yield f'<text x="{_x(day - 0.5, n_days):.1f}" y="{BOTTOM + 18}" text-anchor="middle">{day}</text>'


def _curve(values: Sequence[float | None], name: str, highest: float) -> str:
    """Return one curve."""
    points = [
        f"{_x(day + 0.5, len(values)):.1f},{BOTTOM - (BOTTOM - TOP) * value / highest:.1f}"
        for day, value in enumerate(values)
        if value is not None
    ]
    return f'<polyline class="{name}" points="{" ".join(points)}"/>'


def _legend(lines: Sequence[Line], measure: str) -> Iterator[str]:
    """Yield the names of the curves with their means."""
    for nth, (line, name) in enumerate(zip(lines, CLASSES, strict=False)):
        x = LEFT + nth * (RIGHT - LEFT) / len(CLASSES)
        value = line.hit_rate if measure == "hit_rate" else line.ndcg
        yield f'<polyline class="{name}" points="{x:.0f},20 {x + 22:.0f},20"/>'
        yield f'<text x="{x + 28:.0f}" y="24">{escape(line.name)} {value:.3f}</text>'


def _promotions(month: MonthReport) -> Iterator[str]:
    """Yield a line where another version began to serve."""
    for one in month.promotions:
        x = _x(one.at_days, month.n_days)
        yield f'<line class="version" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'


def _events(month: MonthReport) -> Iterator[str]:
    """Yield what was injected, numbered as the table of the page is, or what the dotted lines are."""
    for nth, event in enumerate(month.events, start=1):
        x = _x(event.at_days, month.n_days)
        yield f'<line class="event" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
        yield f'<text class="event" x="{x + 3:.1f}" y="{TOP + 12}">{nth}</text>'
    named = "; ".join(f"{nth} {event.title}" for nth, event in enumerate(month.events, start=1))
    half = len(month.events) // 2
    texts = [f"{nth} {event.title}" for nth, event in enumerate(month.events, start=1)]
    rows = ["; ".join(texts[:half]), "; ".join(texts[half:])] if len(texts) > 1 else [named]
    for nth, row in enumerate(row for row in rows if row):
        yield f'<text class="event" x="{LEFT}" y="{BOTTOM + 42 + 18 * nth}">{escape(row)}</text>'
    note = "simulated day (means of three days); dotted: the gate let another version serve"
    yield f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{note}</text>'
