/** The model in production, health, traffic, and outcomes of recommendations. */

import { get, readiness, text } from "./api.js";
import { badge, card, facts, fill, h, table } from "./dom.js";
import { growth, parsed, quantile, total } from "./exposition.js";
import { about, ago, moment, number, percent, seconds, sentence, verdict, words } from "./format.js";
import { load, nothing } from "./loading.js";
import { lines, place } from "./plots.js";
import { every } from "./polling.js";

export const TITLE = "Now";

const POLL_MILLISECONDS = 2000;
const MAX_READINGS = 150;
const LATENCY = "cineclub_http_request_duration_seconds";
const REQUESTS = "cineclub_http_requests_total";
const ANSWERS = "cineclub_predictions_total";
const isAnswer = (labels) => labels.route === "/predict/";
const OWN_ROUTES = ["/", "/assets/{name}", "/metrics", "/models/production", "/ready"];
const isOfOthers = (labels) => !OWN_ROUTES.includes(labels.route);
const isFailure = (labels) => labels.status.startsWith("5") && isOfOthers(labels);
const isPopular = (labels) => labels.strategy === "popular";

/** Show the view in `root`; return a function that ends it. */
export function show(root) {
  const production = h("div", {});
  const health = h("div", {});
  const traffic = h("div", {});
  const outcomes = h("div", {});
  fill(
    root,
    card("In production", { className: "wide" }, production),
    card("Health", {}, health),
    card("Traffic since this page was opened", { className: "full", more: h("span", { class: "soft" }, "without the requests of this page") }, traffic),
    card("Recommendations of the last 30 days", { className: "full" }, outcomes),
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

function productionOf(production) {
  const [label, tone] = verdict(production.verdict);
  return h(
    "div",
    {},
    h("p", { class: "headline" }, h("strong", {}, production.name), ` version ${production.version} `, badge(label, tone)),
    h("p", { class: "reason" }, sentence(production.reason)),
    facts([
      ["Serves since", h("time", { datetime: production.promoted_at, title: moment(production.promoted_at) }, `${ago(production.promoted_at)}, ${moment(production.promoted_at)}`)],
      ["Promoted by", production.promoted_by],
      ["Films in its vocabulary", number(production.n_movies)],
      ["Settings", settingsOf(production.hyperparameters), true],
    ]),
  );
}

function settingsOf(hyperparameters) {
  return Object.entries(hyperparameters).map(([name, value]) => `${words(name)} ${value}`).join(", ");
}

function noModel() {
  return nothing("No model is in production yet. ", h("a", { href: "#/trainings" }, "Start a training"), " to create one.");
}

function healthOf(state) {
  const [label, tone] = !state.ready ? ["not ready", "bad"] : state.degraded ? ["degraded", "warn"] : ["ready", "good"];
  const from = state.model ? `${state.model.name} version ${state.model.version}` : state.popular ? "popular films" : "nothing yet";
  return h(
    "div",
    {},
    h("p", { class: "headline" }, badge(label, tone)),
    facts([
      ["Recommendations come from", state.degraded ? `${from}, from memory alone` : from],
      ["PostgreSQL", state.database],
    ]),
  );
}

async function reading(readings) {
  const samples = parsed(await text("metrics"));
  readings.push({ at: Date.now(), samples, between: ratesOf(readings.at(-1), Date.now(), samples) });
  if (readings.length > MAX_READINGS) readings.shift();
}

/** Return the rates between a reading and newer samples; nulls without a reading. */
function ratesOf(before, at, samples) {
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
  const of = (name) => readings.map((reading) => reading.between[name]);
  return h(
    "div",
    { class: "tiles" },
    tile("Recommendations", `${about(newest.between.answers)} a second`, readings, "lists a second", [{ name: "recommendations", values: of("answers") }], about),
    tile("Requests", `${about(newest.between.requests)} a second`, readings, "requests a second", [{ name: "requests", values: of("requests") }], about),
    latencyTile(readings, of("p50"), of("p99")),
    tile("Server errors", `${about(newest.between.failures)} a second`, readings, "responses with 5xx a second", [{ name: "errors", values: of("failures"), tone: "bad" }], about),
    coldStartTile(readings, of("popular")),
  );
}

function latencyTile(readings, p50, p99) {
  const last = (values) => values.findLast((value) => value !== null) ?? null;
  const label = last(p50) === null ? "none yet" : `p50 ${seconds(last(p50))}, p99 ${seconds(last(p99))}`;
  const series = [{ name: "99th percentile", values: p99, tone: "two" }, { name: "median", values: p50 }];
  return tile("Latency of recommendations", label, readings, "median; dashed: 99th percentile", series, seconds);
}

function tile(title, label, readings, unit, series, written) {
  const plot = { label: `${title}: ${label}`, unit, times: readings.map((reading) => reading.at), timeLabel: clock, series, written };
  const drawing = readings.length > 1 ? place(h("div", {}), (width) => lines(width, plot)) : nothing("measuring …");
  return h("div", { class: "tile" }, h("h3", {}, title), h("p", { class: "value" }, label), drawing);
}

function coldStartTile(readings, shares) {
  const { samples } = readings.at(-1);
  const all = total(samples, ANSWERS);
  const label = all ? `${percent(total(samples, ANSWERS, isPopular) / all, 1)} of all lists` : "none yet";
  const made = tile("Cold start", label, readings, "share of the lists with popular films", [{ name: "cold start", values: shares }], percent);
  made.append(h("p", { class: "soft" }, "Popular films in place of a personal list, for new users or without a model; the number counts since the service started."));
  return made;
}

function clock(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

function outcomesOf({ versions, window_days }) {
  if (!versions.length) return nothing("No recommendations were logged in these 30 days. ", h("a", { href: "#/try" }, "Try it"), " to log the first.");
  const numbers = ["Lists", "Cold start", "Hit rate", "Films taken", "Coverage", "Popular tenth"].map((title) => ({ title, numeric: true }));
  return h(
    "div",
    {},
    table("Recommendations of the last 30 days by model version", [{ title: "Model" }, ...numbers], versions.map(outcomeRow)),
    h("p", { class: "soft" }, `A film counts as taken if it was rated within ${window_days} days after it was recommended. Hit rate: share of the lists of which at least one film was taken.`),
  );
}

function outcomeRow(version) {
  const personal = version.strategies.find((strategy) => strategy.strategy === "model") ?? version.strategies[0];
  const taken = version.strategies.reduce((sum, strategy) => sum + strategy.n_taken, 0);
  const name = version.model ? `${version.model.name} version ${version.model.version}` : "popular films, no model";
  const figures = [number(version.n_answers), percent(version.cold_start_share, 1), percent(personal?.hit_rate, 1), number(taken)];
  return { cells: [name, ...figures, percent(personal?.coverage, 1), percent(personal?.popularity_share)] };
}
