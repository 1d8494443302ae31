"""Panels with queries of a Grafana dashboard, laid out from left to right, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SOURCE_UID = "cineclub-prometheus"
COLUMNS = 24
SCHEMA_VERSION = 39
RATE = "$__rate_interval"
"""The range of a rate: Grafana inserts at least four times the scrape interval."""

Kind = Literal["timeseries", "stat", "bargauge"]
Unit = Literal["short", "reqps", "percentunit", "s", "bytes", "d", "none", "dateTimeFromNow"]
Color = Literal["green", "orange", "red", "blue", "text"]
Names = Mapping[int, tuple[str, Color]]
SOURCE = {"type": "prometheus", "uid": SOURCE_UID}
WIDTHS: Mapping[Kind, int] = {"timeseries": 12, "stat": 4, "bargauge": 12}
HEIGHTS: Mapping[Kind, int] = {"timeseries": 8, "stat": 4, "bargauge": 8}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression with the legend of its series; ``{{label}}`` stands for a label's value."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel.

    Attributes:
        title: the heading.
        meaning: an explanation, shown beside the title.
        queries: the drawn series.
        unit: unit of all series.
        kind: the visualisation.
        steps: rising values with the colour from each on; below the first it is green.
        names: texts shown in place of values.
        is_stacked: whether the series are stacked.
    """

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    kind: Kind = "timeseries"
    steps: tuple[tuple[float, Color], ...] = ()
    names: Names = field(default_factory=dict)
    is_stacked: bool = False

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at a position of the grid."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.meaning,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": WIDTHS[self.kind], "h": HEIGHTS[self.kind]},
            "targets": [self._target(nth, query) for nth, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
        }

    def _target(self, nth: int, query: Query) -> dict[str, Any]:
        """Return a query; that of a single figure is instant."""
        is_series = self.kind == "timeseries"
        return {
            "refId": chr(ord("A") + nth),
            "datasource": SOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            "range": is_series,
            "instant": not is_series,
        }

    def _defaults(self) -> dict[str, Any]:
        """Return unit, colours and value mappings."""
        steps = [{"value": None, "color": "green"}, *({"value": at, "color": color} for at, color in self.steps)]
        words = {
            str(value): {"text": text, "color": color, "index": nth}
            for nth, (value, (text, color)) in enumerate(self.names.items())
        }
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": steps},
            "mappings": [{"type": "value", "options": words}] if words else [],
        }
        if self.kind == "timeseries":
            defaults["custom"] = {
                "lineWidth": 1,
                "fillOpacity": 25 if self.is_stacked else 5,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.is_stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.steps else "off"},
            }
        return defaults

    def _options(self) -> dict[str, Any]:
        """Return the display options."""
        if self.kind == "timeseries":
            return {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        if self.kind == "bargauge":
            return {"orientation": "horizontal", "displayMode": "basic", "reduceOptions": reduced}
        return {"colorMode": "value", "graphMode": "none", "textMode": "auto", "reduceOptions": reduced}


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of panels; ``name`` is that of its file and address."""

    name: str
    title: str
    rows: tuple[Row, ...]

    def panels(self) -> list[Panel]:
        """Return all panels."""
        return [panel for row in self.rows for panel in row.panels]

    def to_json(self, links: Sequence["Dashboard"] = ()) -> dict[str, Any]:
        """Return the page in Grafana's form, with links to the other pages."""
        return {
            "uid": f"cineclub-{self.name}",
            "title": f"cineclub: {self.title}",
            "tags": ["cineclub"],
            "timezone": "browser",
            "editable": False,
            "graphTooltip": 1,
            "schemaVersion": SCHEMA_VERSION,
            "version": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": []},
            "annotations": {"list": []},
            "links": [
                {"type": "link", "title": other.title, "url": f"/d/cineclub-{other.name}", "keepTime": True}
                for other in links
                if other != self
            ],
            "panels": self._laid_out(),
        }

    def _laid_out(self) -> list[dict[str, Any]]:
        """Return headings and panels at their positions, numbered from 1."""
        laid_out: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            laid_out.append(_heading(row.title, len(laid_out) + 1, y))
            x, y, height = 0, y + 1, 0
            for panel in row.panels:
                if x + WIDTHS[panel.kind] > COLUMNS:
                    x, y, height = 0, y + height, 0
                laid_out.append(panel.to_json(len(laid_out) + 1, x, y))
                x, height = x + WIDTHS[panel.kind], max(height, HEIGHTS[panel.kind])
            y += height
        return laid_out


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    """Return the heading of a row."""
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
