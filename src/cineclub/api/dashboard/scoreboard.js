/** The report of a training: who was judged, how everybody did, and what the gate decided. */

import { badge, facts, h, table } from "./dom.js";
import { moment, number, percent, seconds, sentence, verdict, words } from "./format.js";
import { dots, place } from "./plots.js";

const BASELINES = ["popular", "bias", "random"];

/** Return the scoreboard and the decision of a report. */
export function reportOf(report) {
  return h(
    "div",
    { class: "report" },
    decisionOf(report),
    windowOf("Judged on the newest ratings (what the gate looks at)", report.test, report),
    h("details", {}, h("summary", {}, `All ${report.validation.models.length} candidates, judged on the ratings before`), windowOf("Validation", report.validation, report)),
    h("details", {}, h("summary", {}, "What it was made from"), madeFrom(report)),
  );
}

function decisionOf({ decision, challenger_verdict: first, version }) {
  const [said, tone] = verdict(decision.verdict);
  const isOther = first.reason !== decision.reason;
  return h(
    "section",
    { "aria-label": "The gate's decision" },
    h("h3", {}, "The gate's decision"),
    h("p", {}, badge(said, tone), ` ${decision.recipe.model}${version ? `, registered as version ${version}` : ""}`),
    isOther && h("p", { class: "reason" }, `The challenger ${first.recipe.model}: ${sentence(first.reason)}`),
    h("p", { class: "reason" }, sentence(decision.reason)),
    differencePlot(first.interval, first.recipe.model),
  );
}

function differencePlot(interval, model) {
  if (!Number.isFinite(interval?.mean)) return null;
  const said = `${signed(interval.mean)}, ${percent(interval.confidence, 1)} interval ${signed(interval.low)} to ${signed(interval.high)}, ${number(interval.n_users)} people`;
  const row = { name: model, value: interval.mean, low: interval.low, high: interval.high, tone: "accent", title: said };
  const plot = { label: `Difference in nDCG: ${said}`, unit: "nDCG, challenger minus opponent", rows: [row], written: signed, zero: true };
  return h("div", {}, place(h("div", {}), (width) => dots(width, plot)), h("p", { class: "soft" }, `Difference ${said}. Right of 0 the challenger is better.`));
}

function windowOf(title, judged, report) {
  const k = report.plan.top_k;
  const rows = named(judged.models).toSorted((one, other) => (other.metrics[`ndcg_at_${k}`] ?? 0) - (one.metrics[`ndcg_at_${k}`] ?? 0));
  const shown = rows.map((one) => dotOf(one, k, report));
  const plot = { label: `nDCG of ${rows.length} models with 95 % intervals; the table below has the same figures`, unit: `nDCG@${k}, mean over people, 95 % interval`, rows: shown, written: (value) => number(value, 2) };
  return h(
    "section",
    { "aria-label": title },
    h("h3", {}, title),
    h("p", { class: "soft" }, `${number(judged.n_users)} people, ${number(judged.n_held_out)} ratings held out, from ${moment(judged.starts_at)}${judged.window_starts.length > 1 ? `, ${judged.window_starts.length} windows` : ""}.`),
    place(h("div", {}), (width) => dots(width, plot)),
    scoreTable(title, rows, k, report),
    leftOut(judged.left_out),
  );
}

function dotOf(row, k, report) {
  const value = row.metrics[`ndcg_at_${k}`];
  const { low, high } = row.ndcg_interval ?? {};
  const said = `${row.label}: ${number(value, 4)}${Number.isFinite(low) ? ` (${number(low, 4)} to ${number(high, 4)})` : ""}`;
  return { name: row.label, value, low, high, title: said, tone: toneOf(row, report) };
}

function toneOf(row, report) {
  if (isSame(row, report.challenger)) return "accent";
  return BASELINES.includes(row.model) ? "baseline" : "";
}

/** On the newest ratings whoever is neither challenger nor baseline is what was in production. */
function roleOf(row, report) {
  if (isSame(row, report.challenger)) return "challenger";
  if (BASELINES.includes(row.model)) return "baseline";
  return report.test.models.some((one) => isSame(one, row)) ? "production" : "";
}

function isSame(row, recipe) {
  const settings = ({ hyperparameters }) => JSON.stringify(Object.entries(hyperparameters).toSorted());
  return row.model === recipe.model && settings(row) === settings(recipe);
}

/** Give every row a label; the second recipe of a model is the one that a search found. */
function named(models) {
  return models.map((one, nth) => ({ ...one, label: models.slice(0, nth).some((before) => before.model === one.model) ? `${one.model}, tuned` : one.model }));
}

function scoreTable(title, rows, k, report) {
  const heads = [`nDCG@${k}`, "95 % interval", `Recall@${k}`, "Coverage", "RMSE", "Fit", "An answer"];
  const columns = [{ title: "Model" }, ...heads.map((one) => ({ title: one, numeric: true }))];
  return table(`${title}: figures`, columns, rows.map((one) => ({ class: toneOf(one, report), cells: scoreCells(one, k, report) })));
}

function scoreCells({ label, metrics, ndcg_interval: interval, fit_seconds: fit, answer_seconds: answer, ...row }, k, report) {
  const role = roleOf(row, report);
  return [
    h("span", { title: settings(row.hyperparameters) }, label, role && h("small", {}, ` ${role}`)),
    number(metrics[`ndcg_at_${k}`], 4),
    interval && Number.isFinite(interval.low) ? `${number(interval.low, 3)} – ${number(interval.high, 3)}` : "–",
    number(metrics[`recall_at_${k}`], 4),
    percent(metrics[`coverage_at_${k}`], 1),
    number(metrics.rmse, 3),
    seconds(fit),
    seconds(answer),
  ];
}

function settings(hyperparameters) {
  return Object.entries(hyperparameters).map(([name, value]) => `${words(name)} ${value}`).join(", ");
}

function leftOut(rows) {
  if (!rows.length) return null;
  return h("ul", { class: "soft" }, ...rows.map((one) => h("li", {}, `${one.recipe.model} was left out: ${one.reason}`)));
}

function madeFrom({ snapshot, filters, step_seconds: steps, plan, code_version: code }) {
  const { before, after } = filters.everything;
  return facts([
    ["Ratings", `${number(snapshot.n_ratings)}, the newest of ${moment(snapshot.newest_rated_at)}`],
    ["Learned from", `${number(after.n_ratings)} ratings by ${number(after.n_users)} people of ${number(after.n_movies)} films (of ${number(before.n_movies)})`],
    ["Snapshot", h("code", {}, snapshot.content_sha256.slice(0, 12))],
    ["Seed", plan.seed],
    ["cineclub", code],
    ["Took", Object.entries(steps).toSorted((one, other) => other[1] - one[1]).map(([name, spent]) => `${words(name)} ${seconds(spent)}`).join(", "), true],
  ]);
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${number(value, 3)}`;
}
