/** Drift of ratings and recommendations: statistics, segments, and past checks. */

import { get } from "./api.js";
import { badge, card, facts, fill, h, table } from "./dom.js";
import { about, ago, moment, number, percent, sentence, verdict, words } from "./format.js";
import { load, nothing } from "./loading.js";
import { bars, lines, place } from "./plots.js";

export const TITLE = "Drift";

const TONES = { OK: "good", ALERT: "bad", NOT_ENOUGH_DATA: "plain" };
const MAX_SEGMENTS = 12;
const N_CHECKS_SHOWN = 8;
const WINDOWS = [["1d", "1 day"], ["7d", "7 days"], ["14d", "14 days"], ["30d", "30 days"], ["90d", "90 days"]];
const ENDS = [["", "now"], ["newest", "the newest rating"]];
const ASKERS = { api: "asked here or over HTTP", cli: "asked in a terminal", watch: "on schedule" };

/** Show the view in `root`. */
export function show(root) {
  const result = h("div", { id: "drift-result" });
  const history = h("div", {});
  const state = { statistic: "", thresholds: new Map() };
  const runCheck = async (query = "") => {
    fill(result, nothing("Counting …"));
    await load(result, () => get(`monitoring/drift${query}`), (check) => checkOf(check, state), missing());
    await load(history, () => get("monitoring/drift/history?limit=100"), (page) => historyOf(page.checks, state), missing());
  };
  fill(root, card("Check", { className: "full", more: null }, form(runCheck), result), card("Over time", { className: "full" }, history));
  load(history, () => get("monitoring/drift/history?limit=100"), (page) => {
    if (page.checks.length) runCheck();
    else fill(result, nothing("There is no check yet: press “Check now”."));
    return historyOf(page.checks, state);
  }, missing()).then(() => {
    if (!result.hasChildNodes()) fill(result, missing());
  });
}

function missing() {
  return nothing("Drift is not available: this service has no drift routes.");
}

function form(runCheck) {
  const choices = (pairs, chosen) => pairs.map(([value, name]) => h("option", { value, selected: value === chosen }, name));
  const length = h("select", { id: "drift-window" }, ...choices(WINDOWS, "7d"));
  const end = h("select", { id: "drift-until" }, ...choices(ENDS, ""));
  const threshold = h("input", { id: "drift-threshold", type: "number", min: 1, max: 1000, step: "any", value: 10, required: true });
  const check = (event) => {
    event.preventDefault();
    runCheck(`?window=${length.value}&threshold_pct=${encodeURIComponent(threshold.value)}${end.value ? `&until=${end.value}` : ""}`);
  };
  return h(
    "form",
    { class: "fields", on: { submit: check } },
    h("div", {}, h("label", { for: "drift-window" }, "Window"), length),
    h("div", {}, h("label", { for: "drift-until" }, "Up to"), end),
    h("div", {}, h("label", { for: "drift-threshold" }, "Threshold of simple figures, %"), threshold),
    h("button", { type: "submit", class: "main", id: "check-drift" }, "Check now"),
  );
}

function checkOf(check, state) {
  const { window: checked } = check;
  const statistics = check.comparisons[0]?.statistics ?? []; // past checks have the statistics of the first comparison only
  state.thresholds = new Map(statistics.map((statistic) => [statistic.name, statistic.threshold]));
  return h(
    "div",
    {},
    h("p", { class: "headline" }, badge(...verdict(check.verdict)), " ", h("span", { class: "soft", title: moment(check.checked_at) }, ago(check.checked_at))),
    h("p", { class: "reason" }, sentence(check.summary)),
    facts([
      ["Window", `${moment(checked.starts_at)} to ${moment(checked.ends_at)} (${about(checked.days)} days)`],
      ["Ratings", number(checked.n_ratings)],
      ["Recommendations", number(checked.n_answers)],
    ]),
    ...check.comparisons.map(comparisonOf),
  );
}

function comparisonOf(comparison) {
  const name = comparison.baseline === "pinned" ? "the pinned baseline" : `the baseline of version ${comparison.model_version ?? "?"}`;
  const title = `Compared with ${name}`;
  return h(
    "section",
    { "aria-label": title },
    h("h3", {}, title, " ", badge(...verdict(comparison.verdict))),
    h("p", { class: "soft" }, `Taken ${moment(comparison.taken_at)}, from ${number(comparison.n_windows)} windows.`),
    statisticsOf(comparison.statistics, title),
    segmentsOf(comparison.segments, title),
  );
}

function statisticsOf(statistics, title) {
  const heads = ["Then", "Now", "Change", "Distance", "Threshold"].map((title) => ({ title, numeric: true }));
  const columns = [{ title: "Figure" }, { title: "Of" }, ...heads, { title: "Verdict" }];
  const cells = (statistic) => [
    words(statistic.name),
    statistic.of,
    about(statistic.baseline),
    about(statistic.current),
    statistic.change_pct === null || statistic.change_pct === undefined ? "–" : `${statistic.change_pct > 0 ? "+" : ""}${number(statistic.change_pct, 1)} %`,
    about(statistic.distance),
    statistic.threshold === null || isDistance(statistic) ? about(statistic.threshold) : `${about(statistic.threshold)} %`,
    badge(...verdict(statistic.verdict)),
  ];
  return table(`${title}: figures`, columns, statistics.map((statistic) => ({ cells: cells(statistic) })));
}

/** Return whether a statistic is a distribution, which has a distance and no single value. */
function isDistance(statistic) {
  return statistic.baseline === null && statistic.current === null;
}

function segmentsOf(segments, title) {
  if (!segments?.length) return null;
  const shown = segments.slice(0, MAX_SEGMENTS);
  const rows = shown.map((segment, nth) => ({ name: `${segment.name} (${words(segment.dimension)})`, value: segment.share_of_change, tone: nth ? "" : "accent", title: segmentTitle(segment) }));
  const plot = { label: `What moved most: ${shown.map((segment) => `${segment.name} ${percent(segment.share_of_change)}`).join(", ")}`, unit: "share of the change", rows, written: (value) => percent(value) };
  const columns = [{ title: "Segment" }, { title: "Kind" }, ...["Share then", "Share now", "Mean then", "Mean now", "Of the change"].map((title) => ({ title, numeric: true }))];
  const cells = (segment) => [segment.name, words(segment.dimension), percent(segment.baseline_share, 1), percent(segment.current_share, 1), number(segment.baseline_mean, 2), number(segment.current_mean, 2), percent(segment.share_of_change)];
  return h(
    "div",
    {},
    h("h4", {}, "Where it moved most"),
    place(h("div", {}), (width) => bars(width, plot)),
    h("details", {}, h("summary", {}, "The segments as a table"), table(`${title}: segments`, columns, shown.map((segment) => ({ cells: cells(segment) })))),
  );
}

function segmentTitle(segment) {
  return `${segment.name}: ${percent(segment.baseline_share, 1)} then, ${percent(segment.current_share, 1)} now; mean rating ${number(segment.baseline_mean, 2)} then, ${number(segment.current_mean, 2)} now`;
}

function historyOf(newestFirst, state) {
  const usual = newestFirst.filter((check) => check.is_usual !== false);
  const checks = (usual.length ? usual : newestFirst).toSorted((check, later) => Date.parse(check.checked_at) - Date.parse(later.checked_at));
  if (!checks.length) return nothing("There is no check yet.");
  const names = [...new Set(checks.flatMap((check) => Object.keys(moves(check))))].toSorted();
  if (!names.includes(state.statistic)) state.statistic = mostMoved(checks, names);
  const picture = h("div", {});
  const draw = () => fill(picture, place(h("div", {}), (width) => lines(width, timePlot(checks, state))));
  const select = h("select", { id: "drift-statistic", on: { change: (event) => ((state.statistic = event.target.value), draw()) } }, ...names.map((name) => h("option", { value: name, selected: name === state.statistic }, words(name))));
  draw();
  return h("div", {}, names.length > 0 && h("p", {}, h("label", { for: "drift-statistic" }, "Distance or change of: "), select), names.length > 0 && picture, legend(), checkTable(newestFirst));
}

/** Return the distances of a check's distributions and the absolute changes of its figures in percent, by name. */
function moves(check) {
  const changes = Object.entries(check.changes ?? {}).map(([name, change]) => [name, Math.abs(change)]);
  return { ...Object.fromEntries(changes), ...check.distances };
}

/** Return the statistic with the largest newest move relative to its median. */
function mostMoved(checks, names) {
  const newest = moves(checks.at(-1));
  const beside = (name) => {
    const all = checks.map((check) => moves(check)[name]).filter(Number.isFinite).toSorted((first, second) => first - second);
    return (newest[name] ?? 0) / (all[Math.floor(all.length / 2)] || 1);
  };
  return names.toSorted((first, second) => beside(second) - beside(first))[0];
}

function timePlot(checks, { statistic, thresholds }) {
  const values = checks.map((check) => moves(check)[statistic] ?? null);
  const isPercent = checks.some((check) => statistic in (check.changes ?? {}));
  const what = isPercent ? `change of ${words(statistic)}, either way` : `distance of ${words(statistic)} from the baseline`;
  return {
    label: `${what} in ${checks.length} checks; the table below names each check's verdict`,
    unit: `${what}${thresholds.has(statistic) ? "; dashed: threshold" : ""}`,
    level: thresholds.get(statistic) ?? null,
    height: 180,
    times: checks.map((check) => Date.parse(check.checked_at)),
    timeLabel: (time) => new Date(time).toLocaleDateString("en-GB", { dateStyle: "medium" }),
    series: [{ name: words(statistic), values }],
    written: isPercent ? (value) => `${about(value)} %` : about,
    marks: checks.map((check) => ({ tone: TONES[check.verdict] ?? "plain", title: `${moment(check.checked_at)}: ${verdict(check.verdict)[0]}. ${check.summary ?? ""}` })),
  };
}

function legend() {
  return h("p", { class: "legend" }, h("span", { class: "key-dot good" }), " OK ", h("span", { class: "key-dot triangle bad" }), " ALERT ", h("span", { class: "key-dot plain" }), " not enough data");
}

/** Return the segments that moved most in a check. */
function whereOf(check) {
  if (!check.segments?.length) return null;
  return h("small", { class: "where" }, `Moved most: ${check.segments.map((segment) => `${segment.name} (${words(segment.dimension)}) ${percent(segment.share_of_change)}`).join(", ")}`);
}

/** Return the table of all checks, newest first; the plot leaves out those with unusual parameters. */
function checkTable(checks) {
  const askedBy = (check) => `${ASKERS[check.asked_by] ?? ""}${check.is_usual === false ? ", with other parameters" : ""}`;
  const rows = checks.map((check) => ({ cells: [moment(check.checked_at), badge(...verdict(check.verdict)), h("span", { class: "why" }, sentence(check.summary), h("small", {}, ` ${askedBy(check)}`), whereOf(check))] }));
  const columns = [{ title: "When" }, { title: "Verdict" }, { title: "What moved most" }];
  const [shown, older] = [rows.slice(0, N_CHECKS_SHOWN), rows.slice(N_CHECKS_SHOWN)];
  return h(
    "div",
    {},
    table("The newest checks", columns, shown),
    older.length > 0 && h("details", {}, h("summary", {}, `${older.length} older checks`), table("Older checks", columns, older)),
  );
}
