/** The report of a training: evaluated models and the gate's decision. */

import { badge, facts, h, table } from "./dom.js";
import { moment, number, percent, seconds, sentence, verdict, words } from "./format.js";
import { dots, place } from "./plots.js";

const BASELINES = ["popular", "bias", "random"];
const NO_HISTORY = "0";

/** Return the scoreboard and the decision of a report. */
export function reportOf(report) {
  return h(
    "div",
    { class: "report" },
    decisionOf(report),
    windowOf("Test window: the newest ratings, which the gate uses", report.test, report),
    h("details", {}, h("summary", {}, `All ${report.validation.models.length} candidates on the validation window, the ratings before`), windowOf("Validation window", report.validation, report)),
    h("details", {}, h("summary", {}, "Data and parameters"), madeFrom(report)),
  );
}

function decisionOf({ decision, challenger_verdict: first, version }) {
  const [text, tone] = verdict(decision.verdict);
  const isOther = first.reason !== decision.reason;
  return h(
    "section",
    { "aria-label": "The gate's decision" },
    h("h3", {}, "The gate's decision"),
    h("p", {}, badge(text, tone), ` ${decision.recipe.model}${version ? `, registered as version ${version}` : ""}`),
    isOther && h("p", { class: "reason" }, `The challenger ${first.recipe.model}: ${sentence(first.reason)}`),
    h("p", { class: "reason" }, sentence(decision.reason)),
    differencePlot(first.interval, first.recipe.model),
    certaintyOf(first),
  );
}

/** Return what would make an uncertain difference certain; reports of before have no such number. */
function certaintyOf({ interval, numbers }) {
  const users = numbers?.users_for_certainty;
  if (!Number.isFinite(users)) return null;
  const days = numbers.days_for_certainty > 0 ? ` over ${number(numbers.days_for_certainty)} days` : "";
  const now = interval.n_days > 0 ? `${number(interval.n_users)} over ${number(interval.n_days)} days` : number(interval.n_users);
  return h("p", { class: "soft" }, `Certain at this difference with about ${number(users)} evaluated users${days}; now ${now}.`);
}

/** Return what an interval rests on, and which clusters made it the widest. */
function evidenceOf({ n_users: users, n_movies: films, n_days: days, clusters }) {
  return days > 0 ? `${number(users)} users, ${number(films)} films, ${number(days)} days (widest by ${clusters})` : `${number(users)} users`;
}

function differencePlot(interval, model) {
  if (!Number.isFinite(interval?.mean) || !Number.isFinite(interval.low)) return null;
  const text = `${signed(interval.mean)}, ${percent(interval.confidence, 1)} interval ${signed(interval.low)} to ${signed(interval.high)}, ${evidenceOf(interval)}`;
  const row = { name: model, value: interval.mean, low: interval.low, high: interval.high, tone: "accent", title: text };
  const plot = { label: `Difference in nDCG: ${text}`, unit: "nDCG, challenger minus opponent", rows: [row], written: signed, zero: true };
  return h("div", {}, place(h("div", {}), (width) => dots(width, plot)), h("p", { class: "soft" }, `Difference ${text}. Right of 0 the challenger is better.`));
}

function windowOf(title, evaluation, report) {
  const k = report.plan.top_k;
  const rows = named(evaluation.models).toSorted((first, second) => (second.metrics[`ndcg_at_${k}`] ?? 0) - (first.metrics[`ndcg_at_${k}`] ?? 0));
  const shown = rows.map((row) => dotOf(row, k, report));
  const plot = { label: `nDCG of ${rows.length} models with 95 % intervals; the table below has the same figures`, unit: `nDCG@${k}, mean over users, 95 % interval`, rows: shown, written: (value) => number(value, 2) };
  return h(
    "section",
    { "aria-label": title },
    h("h3", {}, title),
    h("p", { class: "soft" }, `${number(evaluation.n_users)} users, ${number(evaluation.n_held_out)} ratings held out, from ${moment(evaluation.starts_at)}${evaluation.window_starts.length > 1 ? `, ${evaluation.window_starts.length} windows` : ""}.`),
    place(h("div", {}), (width) => dots(width, plot)),
    scoreTable(title, rows, k, report),
    judgedOf(rows),
    leftOut(evaluation.left_out),
  );
}

function dotOf(row, k, report) {
  const value = row.metrics[`ndcg_at_${k}`];
  const { low, high } = row.ndcg_interval ?? {};
  const text = `${row.label}: ${number(value, 4)}${Number.isFinite(low) ? ` (${number(low, 4)} to ${number(high, 4)})` : ""}`;
  return { name: row.label, value, low, high, title: text, tone: toneOf(row, report) };
}

function toneOf(row, report) {
  if (isSame(row, report.challenger)) return "accent";
  return BASELINES.includes(row.model) ? "baseline" : "";
}

/** Return the role of a row; a model of the test window that is neither challenger nor baseline is production. */
function roleOf(row, report) {
  if (isSame(row, report.challenger)) return "challenger";
  if (BASELINES.includes(row.model)) return "baseline";
  return report.test.models.some((model) => isSame(model, row)) ? "production" : "";
}

function isSame(row, recipe) {
  const settings = ({ hyperparameters }) => JSON.stringify(Object.entries(hyperparameters).toSorted());
  return row.model === recipe.model && settings(row) === settings(recipe);
}

/** Return the rows with labels; the second recipe of one name is the one of the search. Reports of before have no names. */
function named(models) {
  const names = models.map(({ name, model }) => name ?? model);
  return models.map((model, nth) => ({ ...model, label: model.name ?? (names.indexOf(names[nth]) < nth ? `${names[nth]}, tuned` : names[nth]) }));
}

function scoreTable(title, rows, k, report) {
  const heads = [`nDCG@${k}`, "95 % interval", "Of likes", "No history", `Recall@${k}`, "Coverage", "RMSE", "Fit", "One list"];
  const columns = [{ title: "Model" }, ...heads.map((title) => ({ title, numeric: true }))];
  return table(`${title}: figures`, columns, rows.map((row) => ({ class: toneOf(row, report), cells: scoreCells(row, k, report) })));
}

/** Return what the figures are means of; reports of before did not walk their windows in time. */
function judgedOf(rows) {
  const judged = rows.find((row) => row.n_judged_likes > 0);
  if (!judged) return null;
  const [users, likes, fresh] = [judged.n_judged_users, judged.n_judged_likes, judged.users_by_history_length[NO_HISTORY]].map((count) => number(count));
  return h("p", { class: "soft" }, `nDCG is the mean of ${users} users, each with the mean of their likes; “Of likes” is the mean of all ${likes} likes, “No history” that of ${fresh} users before their first rating.`);
}

function scoreCells({ label, metrics, ndcg_interval: interval, fit_seconds: fit, answer_seconds: recommend, ...row }, k, report) {
  const role = roleOf(row, report);
  return [
    h("span", { title: settings(row.hyperparameters) }, label, role && h("small", {}, ` ${role}`)),
    number(metrics[`ndcg_at_${k}`], 4),
    interval && Number.isFinite(interval.low) ? `${number(interval.low, 3)} – ${number(interval.high, 3)}` : "–",
    number(metrics[`ndcg_of_likes_at_${k}`], 4),
    number(row.ndcg_by_history_length?.[NO_HISTORY], 4),
    number(metrics[`recall_at_${k}`], 4),
    percent(metrics[`coverage_at_${k}`], 1),
    number(metrics.rmse, 3),
    seconds(fit),
    seconds(recommend),
  ];
}

function settings(hyperparameters) {
  return Object.entries(hyperparameters).map(([name, value]) => `${words(name)} ${value}`).join(", ");
}

function leftOut(rows) {
  if (!rows.length) return null;
  return h("ul", { class: "soft" }, ...rows.map((candidate) => h("li", {}, `${candidate.recipe.model} was left out: ${candidate.reason}`)));
}

function madeFrom({ snapshot, filters, step_seconds: steps, plan, code_version: code }) {
  const { before, after } = filters.everything;
  return facts([
    ["Ratings", `${number(snapshot.n_ratings)}, the newest of ${moment(snapshot.newest_rated_at)}`],
    ["Learned from", `${number(after.n_ratings)} ratings by ${number(after.n_users)} users of ${number(after.n_movies)} films (of ${number(before.n_movies)})`],
    ["Snapshot", h("code", {}, snapshot.content_sha256.slice(0, 12))],
    ["Seed", plan.seed],
    ["cineclub", code],
    ["Took", Object.entries(steps).toSorted((first, second) => second[1] - first[1]).map(([name, spent]) => `${words(name)} ${seconds(spent)}`).join(", "), true],
  ]);
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${number(value, 3)}`;
}
