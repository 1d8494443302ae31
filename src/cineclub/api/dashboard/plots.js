/** Plots as SVG: pure functions of a width in pixels and of the data. */

import { s } from "./dom.js";

const LETTER = 6.6;
const ROW = 30;

/** Draw a plot at the width of its place, and again whenever that changes. */
export function place(container, draw) {
  let width = 0;
  const redraw = () => {
    const now = Math.floor(container.clientWidth);
    if (!now || now === width) return;
    width = now;
    container.replaceChildren(draw(now));
  };
  new ResizeObserver(redraw).observe(container);
  redraw();
  return container;
}

/** Return round numbers from at most `low` to at least `high`. */
export function ticks(low, high, wanted = 4) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: Math.max(last - first, 1) + 1 }, (_, nth) => (first + nth) * step);
}

/**
 * Return lines over time, gaps where a value is null.
 * @param {number} width
 * @param {{label: string, unit: string, height?: number, times: number[], timeLabel: (time: number) => string,
 *   series: {name: string, values: (number|null)[], tone?: string}[], written: (value: number) => string,
 *   marks?: {tone: string, title: string}[], level?: number|null}} plot
 */
export function lines(width, { label, unit, height = 126, times, timeLabel, series, written, marks = [], level = null }) {
  const known = series.flatMap((line) => line.values).filter((value) => value !== null);
  const steps = ticks(0, Math.max(...known, level ?? 0) || 1, 3);
  const left = Math.max(...steps.map((step) => written(step).length)) * LETTER + 12;
  const frame = { left, right: width - 10, top: 24, bottom: height - 22 };
  const [first, last] = [times[0] ?? 0, times.at(-1) ?? 1];
  const x = scale(first, last, frame.left, frame.right);
  const y = scale(0, steps.at(-1), frame.bottom, frame.top);
  return drawn(
    width,
    height,
    label,
    s("text", { x: 0, y: 10, class: "axis" }, unit),
    ...steps.map((step) => levelLine(frame, y(step), written(step))),
    s("text", { x: frame.left, y: height - 5, class: "axis" }, timeLabel(first)),
    s("text", { x: frame.right, y: height - 5, class: "axis", "text-anchor": "end" }, timeLabel(last)),
    level === null ? null : s("line", { x1: frame.left, x2: frame.right, y1: y(level), y2: y(level), class: "threshold" }),
    ...series.flatMap((line) => curve(line, times, x, y)),
    ...marks.map((mark, nth) => markAt(x(times[nth]), y(series[0]?.values[nth] ?? 0), mark)),
  );
}

/**
 * Return a dot for each row with the interval around it.
 * @param {number} width
 * @param {{label: string, unit: string, rows: {name: string, value: number, low?: number|null, high?: number|null,
 *   tone?: string, title?: string}[], written: (value: number) => string, zero?: boolean}} plot
 */
export function dots(width, { label, unit, rows, written, zero = false }) {
  const shown = rows.filter((row) => Number.isFinite(row.value));
  const ends = shown.flatMap((row) => [row.low ?? row.value, row.high ?? row.value]);
  const steps = ticks(Math.min(...ends, ...(zero ? [0] : [])), Math.max(...ends, ...(zero ? [0] : [])), width < 480 ? 3 : 5);
  const left = gutter(width, rows);
  const height = rows.length * ROW + 40;
  const frame = { left, right: width - 26, top: 6, bottom: height - 34 };
  const x = scale(steps[0], steps.at(-1), frame.left, frame.right);
  return drawn(
    width,
    height,
    label,
    ...steps.map((step) => crossLine(frame, x(step), written(step), zero && step === 0)),
    s("text", { x: Math.min(left, width / 6), y: height - 3, class: "axis" }, unit),
    ...rows.flatMap((row, nth) => dotRow(row, frame.top + (nth + 0.5) * ROW, left, x)),
  );
}

/**
 * Return a bar for each row, to the left where a value is negative.
 * @param {number} width
 * @param {{label: string, unit: string, rows: {name: string, value: number, tone?: string, title?: string}[],
 *   written: (value: number) => string}} plot
 */
export function bars(width, { label, unit, rows, written }) {
  const values = rows.map((row) => row.value ?? 0);
  const steps = ticks(Math.min(...values, 0), Math.max(...values, 1e-9), width < 480 ? 3 : 5);
  const left = gutter(width, rows);
  const height = rows.length * ROW + 40;
  const frame = { left, right: width - 26, top: 6, bottom: height - 34 };
  const x = scale(steps[0], steps.at(-1), frame.left, frame.right);
  return drawn(
    width,
    height,
    label,
    ...steps.map((step) => crossLine(frame, x(step), written(step), step === 0)),
    s("text", { x: Math.min(left, width / 6), y: height - 3, class: "axis" }, unit),
    ...rows.flatMap((row, nth) => barRow(row, frame.top + nth * ROW, left, x)),
  );
}

function drawn(width, height, label, ...parts) {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return s("svg", { ...size, role: "img", "aria-label": label, class: "plot" }, ...parts);
}

function scale(from, to, start, end) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

function gutter(width, rows) {
  const longest = Math.max(...rows.map((row) => row.name.length), 4) * 7.4 + 16;
  return Math.min(longest, width * 0.42);
}

function cut(name, room) {
  const letters = Math.floor((room - 14) / 7);
  return name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
}

function levelLine(frame, y, words) {
  return [
    s("line", { x1: frame.left, x2: frame.right, y1: y, y2: y, class: "grid" }),
    s("text", { x: frame.left - 6, y: y + 4, class: "axis", "text-anchor": "end" }, words),
  ];
}

function crossLine(frame, x, words, isZero) {
  return [
    s("line", { x1: x, x2: x, y1: frame.top, y2: frame.bottom, class: isZero ? "zero" : "grid" }),
    s("text", { x, y: frame.bottom + 15, class: "axis", "text-anchor": "middle" }, words),
  ];
}

function rowName(row, y, left) {
  return s("text", { x: left - 10, y: y + 4, class: `row-name ${row.tone ?? ""}`, "text-anchor": "end" }, cut(row.name, left), s("title", {}, row.name));
}

function dotRow(row, y, left, x) {
  if (!Number.isFinite(row.value)) return [rowName(row, y, left)];
  const hasInterval = Number.isFinite(row.low) && Number.isFinite(row.high);
  const tone = row.tone ?? "";
  return [
    rowName(row, y, left),
    hasInterval && s("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, class: `whisker ${tone}` }),
    hasInterval && [row.low, row.high].map((end) => s("line", { x1: x(end), x2: x(end), y1: y - 5, y2: y + 5, class: `whisker ${tone}` })),
    s("circle", { cx: x(row.value), cy: y, r: 5.5, class: `dot ${tone}` }, s("title", {}, row.title ?? row.name)),
  ].flat();
}

function barRow(row, top, left, x) {
  const [start, end] = [x(0), x(row.value)].sort((first, second) => first - second);
  const shape = { x: start, y: top + 7, width: Math.max(end - start, 1), height: ROW - 14, rx: 3 };
  return [rowName(row, top + ROW / 2, left), s("rect", { ...shape, class: `bar ${row.tone ?? ""}` }, s("title", {}, row.title ?? row.name))];
}

function curve({ name, values, tone = "one" }, times, x, y) {
  const pieces = [];
  let open = false;
  values.forEach((value, nth) => {
    if (value !== null) pieces.push(`${open ? "L" : "M"}${x(times[nth]).toFixed(1)} ${y(value).toFixed(1)}`);
    open = value !== null;
  });
  const newest = values.at(-1);
  const end = newest === null || newest === undefined ? null : s("circle", { cx: x(times.at(-1)), cy: y(newest), r: 3, class: `end ${tone}` });
  return [s("path", { d: pieces.join(""), class: `curve ${tone}` }, s("title", {}, name)), end];
}

function markAt(x, y, { tone, title }) {
  const shape = tone === "bad" ? s("path", { d: `M${x} ${y - 7}l6.5 11h-13z`, class: `mark ${tone}` }) : s("circle", { cx: x, cy: y, r: 4.5, class: `mark ${tone}` });
  shape.append(s("title", {}, title));
  return shape;
}
