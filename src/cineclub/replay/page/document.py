"""The page of a month: promises, curves and tables in one file, without a script, with nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape

from cineclub.domain.replay.report import MonthReport, days_in_words, in_words
from cineclub.replay.page.plots import picture_of

STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:.9rem}td,th{text-align:left;padding:.25rem .6rem;
border-bottom:1px solid #8884;vertical-align:top}.kept::before{content:"\\2713 ";color:#2a7f3f}
.broken::before{content:"\\2717 ";color:#b0203a}.wide{overflow-x:auto}svg{max-width:100%;height:auto}
"""


def page_of(month: MonthReport) -> str:
    """Return the report as HTML."""
    parts = [
        f"<h1>A simulated month: {escape(month.scenario)}</h1>",
        f"<p>{_introduction(month)}</p>",
        "<h2>What it had to show</h2>",
        _promises(month),
        "<h2>Day by day</h2>",
        picture_of(month),
        picture_of(month, "ndcg"),
        _lines(month),
        *(["<h2>What was injected</h2>", _events(month)] if month.events else []),
        "<h2>Nights</h2>",
        _nights(month),
        "<h2>What the gate let serve, in hindsight</h2>",
        _promotions(month),
        "<h2>Requests</h2>",
        _traffic(month),
        *(["<h2>Alarms that nothing explains</h2>", _list(month.false_alarms)] if month.false_alarms else []),
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>cineclub: a simulated month, {escape(month.scenario)}</title><style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def _introduction(month: MonthReport) -> str:
    """Return what was played, in words."""
    return escape(
        f"{month.n_played:,} ratings of {month.n_people} people, the newest of {month.data}, were given in order on "
        f"{month.n_days} equal days of {month.day_seconds:g} seconds, after {month.n_past:,} older ones were imported. "
        f"Before each rating its person asked POST /predict/ over HTTP; a list is a hit if it held the film that they "
        f"rated next. {month.n_left_out:,} ratings were left out, because their person had given enough on that day. "
        f"Other models are asked the same questions afterwards, with the histories as they were at that moment. "
        f"All of it took {month.seconds / 60:.1f} minutes."
    )


def _promises(month: MonthReport) -> str:
    """Return each promise with what was found."""
    rows = [
        f'<tr><td class="{mark}">{escape(one.text)}</td><td>{escape(one.found)}</td></tr>'
        for one in month.promises
        for mark in ["kept" if one.is_kept else "broken"]
    ]
    return f"<table>{''.join(rows)}</table>"


def _lines(month: MonthReport) -> str:
    """Return the means over the whole month."""
    rows = [(line.name, f"{line.hit_rate:.4f}", f"{line.ndcg:.4f}") for line in month.lines]
    table = _table(("lists", "hit rate@10", "nDCG@10"), rows)
    ahead = f"ahead of popular {in_words(month.ahead_of_popular)}; of the frozen {in_words(month.ahead_of_frozen)}"
    return f"{table}<p>Hit rate of the served lists, each person with one vote, 95 % interval: {escape(ahead)}.</p>"


def _events(month: MonthReport) -> str:
    """Return what became of each event."""
    rows = [
        (
            str(nth),
            f"{one.title} {f'({one.detail})' if one.detail else ''}",
            f"{one.at_days:.2f}",
            one.verdict,
            days_in_words(one.detected_after_days),
            one.recovery,
        )
        for nth, one in enumerate(month.events, start=1)
    ]
    return _table(("", "event", "after days", "verdict", "detected after", "recovered after"), rows)


def _nights(month: MonthReport) -> str:
    """Return what the trainings ended with."""
    rows = [
        (
            str(one.night),
            ", ".join(one.models),
            "" if one.seconds is None else f"{one.seconds:.1f}",
            one.verdict or one.status,
            "" if one.version is None else str(one.version),
            one.reason,
        )
        for one in month.nights
    ]
    return _table(("night", "tried", "seconds", "verdict", "version", "why"), rows)


def _promotions(month: MonthReport) -> str:
    """Return what was promoted beside what served before."""
    rows = [
        (
            f"{one.version} for {one.previous_version}",
            f"{one.at_days:.1f}",
            one.verdict,
            f"{one.n_answers:,}",
            in_words(one.hit_rate_ahead),
        )
        for one in month.promotions
    ]
    table = _table(("version", "after days", "verdict", "answers", "hit rate@10 ahead"), rows)
    return f"{table}<p>The intervals of all promotions together have 95 %.</p>"


def _traffic(month: MonthReport) -> str:
    """Return how the service did."""
    one = month.traffic
    rows = [
        ("requests", f"{one.n_requests:,}"),
        ("failed", f"{one.n_failed:,}, outside what was injected {one.n_failed_outside_events:,}"),
        ("answers without the database", f"{one.n_degraded:,}"),
        ("POST /predict/", f"p50 {one.predict_p50_ms:.1f} ms, p99 {one.predict_p99_ms:.1f} ms"),
        ("POST /ratings/", f"p50 {one.rate_p50_ms:.1f} ms, p99 {one.rate_p99_ms:.1f} ms"),
        ("ratings lost", str(one.n_ratings_lost)),
        ("recommendations lost from the log", str(one.n_recommendations_lost)),
        ("checks of drift", str(month.drift_checks)),
    ]
    return _table(("", ""), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _list(texts: Iterable[str]) -> str:
    """Return some sentences."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
