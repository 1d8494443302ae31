/** What answers now and why, whether all is well, and how much is asked. */

import { get, readiness, text } from "./api.js";
import { badge, card, facts, fill, h, table } from "./dom.js";
import { growth, parsed, quantile, total } from "./exposition.js";
import { about, ago, moment, number, percent, seconds, sentence, verdict, words } from "./format.js";
import { load, nothing } from "./loading.js";
import { lines, place } from "./plots.js";
import { every } from "./polling.js";

export const TITLE = "Now";

const POLL_MILLISECONDS = 2000;
const KEPT_READINGS = 150;
const LATENCY = "cineclub_http_request_duration_seconds";
const REQUESTS = "cineclub_http_requests_total";
const ANSWERS = "cineclub_predictions_total";
const isAnswer = (labels) => labels.route === "/predict/";
const OWN_ROUTES = ["/", "/assets/{name}", "/metrics", "/models/production", "/ready"];
const isOfOthers = (labels) => !OWN_ROUTES.includes(labels.route);
const isFailure = (labels) => labels.status.startsWith("5") && isOfOthers(labels);
const isPopular = (labels) => labels.strategy === "popular";

/** Show the view in `root`; return what ends it. */
export function show(root) {
  const production = h("div", {});
  const health = h("div", {});
  const traffic = h("div", {});
  const outcomes = h("div", {});
  fill(
    root,
    card("In production", { className: "wide" }, production),
    card("Health", {}, health),
    card("Traffic since this page was opened", { className: "full", more: h("span", { class: "soft" }, "without this page's own looking") }, traffic),
    card("Answers of the last 30 days", { className: "full" }, outcomes),
  );
  const readings = [];
  const stops = [
    every(60_000, () => load(outcomes, () => get("monitoring/recommendations?days=30"), outcomesOf)),
    every(5000, () => load(production, () => get("models/production"), productionOf, noModel())),
    every(5000, () => load(health, readiness, healthOf)),
    every(POLL_MILLISECONDS, () => load(traffic, () => reading(readings), () => trafficOf(readings))),
  ];
  return () => stops.forEach((stop) => stop());
}

function productionOf(one) {
  const [said, tone] = verdict(one.verdict);
  return h(
    "div",
    {},
    h("p", { class: "headline" }, h("strong", {}, one.name), ` version ${one.version} `, badge(said, tone)),
    h("p", { class: "reason" }, sentence(one.reason)),
    facts([
      ["Serves since", h("time", { datetime: one.promoted_at, title: moment(one.promoted_at) }, `${ago(one.promoted_at)}, ${moment(one.promoted_at)}`)],
      ["Promoted by", one.promoted_by],
      ["Films it knows", number(one.n_movies)],
      ["Settings", settingsOf(one.hyperparameters), true],
    ]),
  );
}

function settingsOf(hyperparameters) {
  return Object.entries(hyperparameters).map(([name, value]) => `${words(name)} ${value}`).join(", ");
}

function noModel() {
  return nothing("No model is in production yet. ", h("a", { href: "#/trainings" }, "Start a training"), " to make one.");
}

function healthOf(one) {
  const [said, tone] = !one.ready ? ["not ready", "bad"] : one.degraded ? ["degraded", "warn"] : ["ready", "good"];
  const from = one.model ? `${one.model.name} version ${one.model.version}` : one.popular ? "popular films" : "nothing yet";
  return h(
    "div",
    {},
    h("p", { class: "headline" }, badge(said, tone)),
    facts([
      ["Answers come from", one.degraded ? `${from}, from memory alone` : from],
      ["PostgreSQL", one.database],
    ]),
  );
}

async function reading(readings) {
  const samples = parsed(await text("metrics"));
  readings.push({ at: Date.now(), samples, between: measured(readings.at(-1), Date.now(), samples) });
  if (readings.length > KEPT_READINGS) readings.shift();
}

/** Return what happened between a reading and these samples; nulls without a reading before. */
function measured(before, at, samples) {
  if (!before) return { requests: null, answers: null, p50: null, p99: null, failures: null, popular: null };
  const passed = (at - before.at) / 1000;
  const rate = (name, suits) => growth(before.samples, samples, name, suits) / passed;
  const latency = (share) => quantile(before.samples, samples, LATENCY, share, isAnswer);
  const answers = growth(before.samples, samples, ANSWERS);
  return {
    requests: rate(REQUESTS, isOfOthers),
    answers: rate(ANSWERS),
    popular: answers ? growth(before.samples, samples, ANSWERS, isPopular) / answers : null,
    failures: rate(REQUESTS, isFailure),
    p50: latency(0.5),
    p99: latency(0.99),
  };
}

function trafficOf(readings) {
  const newest = readings.at(-1);
  const of = (name) => readings.map((one) => one.between[name]);
  return h(
    "div",
    { class: "tiles" },
    tile("Answers", `${about(newest.between.answers)} a second`, readings, "answers a second", [{ name: "answers", values: of("answers") }], about),
    tile("Requests", `${about(newest.between.requests)} a second`, readings, "requests a second", [{ name: "requests", values: of("requests") }], about),
    latencyTile(readings, of("p50"), of("p99")),
    tile("Server errors", `${about(newest.between.failures)} a second`, readings, "answers with 5xx a second", [{ name: "errors", values: of("failures"), tone: "bad" }], about),
    coldStartTile(readings, of("popular")),
  );
}

function latencyTile(readings, p50, p99) {
  const last = (values) => values.findLast((one) => one !== null) ?? null;
  const said = last(p50) === null ? "no answer yet" : `p50 ${seconds(last(p50))}, p99 ${seconds(last(p99))}`;
  const series = [{ name: "99th percentile", values: p99, tone: "two" }, { name: "median", values: p50 }];
  return tile("Latency of answers", said, readings, "per answer: median, dashed the 99th percentile", series, seconds);
}

function tile(title, said, readings, unit, series, written) {
  const plot = { label: `${title}: ${said}`, unit, times: readings.map((one) => one.at), timeLabel: clock, series, written };
  const drawing = readings.length > 1 ? place(h("div", {}), (width) => lines(width, plot)) : nothing("measuring …");
  return h("div", { class: "tile" }, h("h3", {}, title), h("p", { class: "value" }, said), drawing);
}

function coldStartTile(readings, shares) {
  const { samples } = readings.at(-1);
  const all = total(samples, ANSWERS);
  const said = all ? `${percent(total(samples, ANSWERS, isPopular) / all, 1)} of all answers` : "no answer yet";
  const made = tile("Cold start", said, readings, "share of the answers that are popular films", [{ name: "cold start", values: shares }], percent);
  made.append(h("p", { class: "soft" }, "Popular films in place of a personal list, for new people or without a model; in all since the service started."));
  return made;
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

function outcomesOf({ versions, window_days }) {
  if (!versions.length) return nothing("No answer was logged in these 30 days. ", h("a", { href: "#/try" }, "Try it"), " to give the first.");
  const numbers = ["Answers", "Cold start", "Hit rate", "Films taken", "Coverage", "Popular tenth"].map((title) => ({ title, numeric: true }));
  return h(
    "div",
    {},
    table("Answers of the last 30 days by model version", [{ title: "Answered by" }, ...numbers], versions.map(outcomeRow)),
    h("p", { class: "soft" }, `A film counts as taken when it was rated within ${window_days} days after it was recommended. Hit rate: answers from which at least one was.`),
  );
}

function outcomeRow(one) {
  const personal = one.strategies.find((each) => each.strategy === "model") ?? one.strategies[0];
  const taken = one.strategies.reduce((sum, each) => sum + each.n_taken, 0);
  const name = one.model ? `${one.model.name} version ${one.model.version}` : "popular films, no model";
  const figures = [number(one.n_answers), percent(one.cold_start_share, 1), percent(personal?.hit_rate, 1), number(taken)];
  return { cells: [name, ...figures, percent(personal?.coverage, 1), percent(personal?.popularity_share)] };
}
