/** Whether people rate otherwise than they did, what moved, and where. */

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
const ASKERS = { api: "asked here or over HTTP", cli: "asked in a terminal", watch: "by itself" };

/** Show the view in `root`. */
export function show(root) {
  const result = h("div", { id: "drift-result" });
  const history = h("div", {});
  const state = { statistic: "", thresholds: new Map() };
  const look = async (query = "") => {
    fill(result, nothing("Counting …"));
    await load(result, () => get(`monitoring/drift${query}`), (check) => checkOf(check, state), missing());
    await load(history, () => get("monitoring/drift/history?limit=100"), (found) => historyOf(found.checks, state), missing());
  };
  fill(root, card("Check", { className: "full", more: null }, form(look), result), card("Over time", { className: "full" }, history));
  load(history, () => get("monitoring/drift/history?limit=100"), (found) => {
    if (found.checks.length) look();
    else fill(result, nothing("Nothing was checked yet: press “Check now”."));
    return historyOf(found.checks, state);
  }, missing()).then(() => {
    if (!result.hasChildNodes()) fill(result, missing());
  });
}

function missing() {
  return nothing("Drift is not available: this service has no drift routes.");
}

function form(look) {
  const choices = (pairs, chosen) => pairs.map(([value, name]) => h("option", { value, selected: value === chosen }, name));
  const length = h("select", { id: "drift-window" }, ...choices(WINDOWS, "7d"));
  const end = h("select", { id: "drift-until" }, ...choices(ENDS, ""));
  const threshold = h("input", { id: "drift-threshold", type: "number", min: 1, max: 1000, step: "any", value: 10, required: true });
  const check = (event) => {
    event.preventDefault();
    look(`?window=${length.value}&threshold_pct=${encodeURIComponent(threshold.value)}${end.value ? `&until=${end.value}` : ""}`);
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
  const { window: seen } = check;
  const judged = check.comparisons[0]?.statistics ?? []; // the history has those of the first
  state.thresholds = new Map(judged.map((one) => [one.name, one.threshold]));
  return h(
    "div",
    {},
    h("p", { class: "headline" }, badge(...verdict(check.verdict)), " ", h("span", { class: "soft", title: moment(check.checked_at) }, ago(check.checked_at))),
    h("p", { class: "reason" }, sentence(check.summary)),
    facts([
      ["Window", `${moment(seen.starts_at)} to ${moment(seen.ends_at)} (${about(seen.days)} days)`],
      ["Ratings", number(seen.n_ratings)],
      ["Answers", number(seen.n_answers)],
    ]),
    ...check.comparisons.map(comparisonOf),
  );
}

function comparisonOf(one) {
  const name = one.baseline === "pinned" ? "the pinned baseline" : `what version ${one.model_version ?? "?"} learned from`;
  const title = `Compared with ${name}`;
  return h(
    "section",
    { "aria-label": title },
    h("h3", {}, title, " ", badge(...verdict(one.verdict))),
    h("p", { class: "soft" }, `Taken ${moment(one.taken_at)}, from ${number(one.n_windows)} windows.`),
    statisticsOf(one.statistics, title),
    segmentsOf(one.segments, title),
  );
}

function statisticsOf(statistics, title) {
  const heads = ["Then", "Now", "Change", "Distance", "Threshold"].map((one) => ({ title: one, numeric: true }));
  const columns = [{ title: "Figure" }, { title: "Of" }, ...heads, { title: "Verdict" }];
  const cells = (one) => [
    words(one.name),
    one.of,
    about(one.baseline),
    about(one.current),
    one.change_pct === null || one.change_pct === undefined ? "–" : `${one.change_pct > 0 ? "+" : ""}${number(one.change_pct, 1)} %`,
    about(one.distance),
    one.threshold === null || isDistance(one) ? about(one.threshold) : `${about(one.threshold)} %`,
    badge(...verdict(one.verdict)),
  ];
  return table(`${title}: figures`, columns, statistics.map((one) => ({ cells: cells(one) })));
}

/** Say of a figure that its distance is judged, not its change: it has no single value. */
function isDistance(one) {
  return one.baseline === null && one.current === null;
}

function segmentsOf(segments, title) {
  if (!segments?.length) return null;
  const shown = segments.slice(0, MAX_SEGMENTS);
  const rows = shown.map((one, nth) => ({ name: `${one.name} (${words(one.dimension)})`, value: one.share_of_change, tone: nth ? "" : "accent", title: segmentTitle(one) }));
  const plot = { label: `What moved most: ${shown.map((one) => `${one.name} ${percent(one.share_of_change)}`).join(", ")}`, unit: "share of the change", rows, written: (value) => percent(value) };
  const columns = [{ title: "Segment" }, { title: "Kind" }, ...["Share then", "Share now", "Mean then", "Mean now", "Of the change"].map((one) => ({ title: one, numeric: true }))];
  const cells = (one) => [one.name, words(one.dimension), percent(one.baseline_share, 1), percent(one.current_share, 1), number(one.baseline_mean, 2), number(one.current_mean, 2), percent(one.share_of_change)];
  return h(
    "div",
    {},
    h("h4", {}, "Where it moved most"),
    place(h("div", {}), (width) => bars(width, plot)),
    h("details", {}, h("summary", {}, "The segments as a table"), table(`${title}: segments`, columns, shown.map((one) => ({ cells: cells(one) })))),
  );
}

function segmentTitle(one) {
  return `${one.name}: ${percent(one.baseline_share, 1)} then, ${percent(one.current_share, 1)} now; mean rating ${number(one.baseline_mean, 2)} then, ${number(one.current_mean, 2)} now`;
}

function historyOf(newestFirst, state) {
  const usual = newestFirst.filter((one) => one.is_usual !== false);
  const checks = (usual.length ? usual : newestFirst).toSorted((one, other) => Date.parse(one.checked_at) - Date.parse(other.checked_at));
  if (!checks.length) return nothing("No check is kept yet.");
  const names = [...new Set(checks.flatMap((one) => Object.keys(moves(one))))].toSorted();
  if (!names.includes(state.statistic)) state.statistic = mostMoved(checks, names);
  const picture = h("div", {});
  const draw = () => fill(picture, place(h("div", {}), (width) => lines(width, timePlot(checks, state))));
  const choice = h("select", { id: "drift-statistic", on: { change: (event) => ((state.statistic = event.target.value), draw()) } }, ...names.map((one) => h("option", { value: one, selected: one === state.statistic }, words(one))));
  draw();
  return h("div", {}, names.length > 0 && h("p", {}, h("label", { for: "drift-statistic" }, "How far moved: "), choice), names.length > 0 && picture, legend(), checkTable(newestFirst));
}

/** Return how far each figure of a check moved: distances, and changes in percent either way. */
function moves(one) {
  const changes = Object.entries(one.changes ?? {}).map(([name, change]) => [name, Math.abs(change)]);
  return { ...Object.fromEntries(changes), ...one.distances };
}

/** Return the figure that lately moved farthest beside what it usually does. */
function mostMoved(checks, names) {
  const newest = moves(checks.at(-1));
  const beside = (name) => {
    const all = checks.map((one) => moves(one)[name]).filter(Number.isFinite).toSorted((one, other) => one - other);
    return (newest[name] ?? 0) / (all[Math.floor(all.length / 2)] || 1);
  };
  return names.toSorted((one, other) => beside(other) - beside(one))[0];
}

function timePlot(checks, { statistic, thresholds }) {
  const values = checks.map((one) => moves(one)[statistic] ?? null);
  const isPercent = checks.some((one) => statistic in (one.changes ?? {}));
  const what = isPercent ? `change of ${words(statistic)}, either way` : `distance of ${words(statistic)} from the baseline`;
  return {
    label: `${what} in ${checks.length} checks; the table below names each check's verdict`,
    unit: `${what}${thresholds.has(statistic) ? "; dashed: threshold" : ""}`,
    level: thresholds.get(statistic) ?? null,
    height: 180,
    times: checks.map((one) => Date.parse(one.checked_at)),
    timeLabel: (time) => new Date(time).toLocaleDateString("en-GB", { dateStyle: "medium" }),
    series: [{ name: words(statistic), values }],
    written: isPercent ? (value) => `${about(value)} %` : about,
    marks: checks.map((one) => ({ tone: TONES[one.verdict] ?? "plain", title: `${moment(one.checked_at)}: ${verdict(one.verdict)[0]}. ${one.summary ?? ""}` })),
  };
}

function legend() {
  return h("p", { class: "legend" }, h("span", { class: "key-dot good" }), " OK ", h("span", { class: "key-dot triangle bad" }), " ALERT ", h("span", { class: "key-dot plain" }), " not enough data");
}

/** Return which parts of the ratings moved most in a check. */
function whereOf(one) {
  if (!one.segments?.length) return null;
  return h("small", { class: "where" }, `Moved most: ${one.segments.map((each) => `${each.name} (${words(each.dimension)}) ${percent(each.share_of_change)}`).join(", ")}`);
}

/** Return every check, newest first; the plot above leaves out those that asked about something unusual. */
function checkTable(checks) {
  const askedBy = (one) => `${ASKERS[one.asked_by] ?? ""}${one.is_usual === false ? ", otherwise than usual" : ""}`;
  const rows = checks.map((one) => ({ cells: [moment(one.checked_at), badge(...verdict(one.verdict)), h("span", { class: "why" }, sentence(one.summary), h("small", {}, ` ${askedBy(one)}`), whereOf(one))] }));
  const columns = [{ title: "When" }, { title: "Verdict" }, { title: "What moved most" }];
  const [shown, older] = [rows.slice(0, N_CHECKS_SHOWN), rows.slice(N_CHECKS_SHOWN)];
  return h(
    "div",
    {},
    table("The newest checks", columns, shown),
    older.length > 0 && h("details", {}, h("summary", {}, `${older.length} older checks`), table("Older checks", columns, older)),
  );
}
