/** Versions with their verdicts, the promotion history, refusals, promotions and rollbacks. */

import { get, post } from "./api.js";
import { ask, notify } from "./asking.js";
import { badge, card, fill, h, table } from "./dom.js";
import { ago, moment, number, sentence, verdict } from "./format.js";
import { load, nothing } from "./loading.js";
import { dots, place } from "./plots.js";

export const TITLE = "Versions";

const LIMIT = 50;

/** Show the view in `root`. */
export function show(root) {
  const versions = h("div", {});
  const history = h("div", {});
  const refusals = h("div", {});
  const back = h("button", { type: "button", class: "grave", id: "rollback", on: { click: () => rolledBack(update) } }, "Roll back");
  fill(
    root,
    card("Versions", { className: "full", more: back }, versions),
    card("Promotion history", { className: "full" }, history),
    card("Refused promotions", { className: "full" }, refusals),
  );
  async function update() {
    await load(versions, () => get(`models/?limit=${LIMIT}`), (page) => {
      fill(history, historyOf(page.promotions));
      fill(refusals, refusalsOf(page.refusals));
      return versionsOf(page.versions, update);
    });
  }
  update();
}

function versionsOf(versions, update) {
  if (!versions.length) return nothing("No version is registered yet: ", h("a", { href: "#/trainings" }, "start a training"), ".");
  const evaluated = versions.filter((version) => Number.isFinite(ndcg(version)));
  return h(
    "div",
    {},
    evaluated.length > 1 && place(h("div", {}), (width) => dots(width, plotOf(evaluated))),
    evaluated.length > 1 && h("p", { class: "soft" }, "Each version was evaluated on the newest ratings of its own day. To compare versions of different days: ", h("code", {}, "cineclub models compare")),
    h("ul", { class: "version-list", "aria-label": "Versions, the newest first" }, ...versions.map((version) => versionOf(version, update))),
  );
}

function plotOf(versions) {
  const rows = versions.slice(0, 12).map((version) => ({
    name: `${version.version} ${version.name}`,
    value: ndcg(version),
    low: ends(version)[0],
    high: ends(version)[1],
    tone: version.serves ? "accent" : "",
    title: `version ${version.version} ${version.name}: ${number(ndcg(version), 4)}`,
  }));
  return { label: "nDCG of the versions with 95 % intervals; each version's figures stand below", unit: "nDCG in the evaluation before registration", rows, written: (value) => number(value, 2) };
}

function versionOf(version, update) {
  const [low, high] = ends(version);
  const figures = [
    ["nDCG", Number.isFinite(low) ? `${number(ndcg(version), 4)} (${number(low, 3)} – ${number(high, 3)})` : number(ndcg(version), 4)],
    ["recall", number(metric(version, "recall_at_"), 4)],
    ["ratings", number(version.snapshot_n_ratings)],
  ];
  const promote = h("button", { type: "button", class: "main", "data-promote": version.version, "aria-label": `Promote version ${version.version}`, on: { click: () => promoted(version, update) } }, "Promote");
  return h(
    "li",
    { class: version.serves ? "serves" : null, "data-version": version.version },
    h("div", { class: "version-head" }, h("strong", {}, `${version.version} · ${version.name}`), version.serves && badge("serves", "accent"), badge(...verdict(version.verdict)), h("span", { class: "soft", title: moment(version.registered_at) }, ago(version.registered_at))),
    version.serves && isRejected(version) && h("p", { class: "failure" }, "It serves although the gate rejected it. If that was not meant, roll back."),
    h("p", { class: "reason" }, sentence(version.reason)),
    h("p", { class: "soft" }, figures.map(([name, value]) => `${name} ${value}`).join(" · "), version.training_id && " · ", version.training_id && h("a", { href: `#/trainings/${version.training_id}` }, "its training")),
    version.serves ? null : promote,
  );
}

function isRejected(version) {
  return version.verdict === "REJECT";
}

function metric(version, start) {
  const name = Object.keys(version.metrics).find((key) => key.startsWith(start) && /_at_\d+$/.test(key));
  return version.metrics[name];
}

function ndcg(version) {
  return metric(version, "ndcg_at_");
}

function ends(version) {
  const end = (which) => Object.entries(version.metrics).find(([name]) => name.startsWith("ndcg_at_") && name.endsWith(which))?.[1] ?? null;
  return [end("_low"), end("_high")];
}

function historyOf(promotions) {
  if (!promotions.length) return nothing("Nothing was promoted yet.");
  const columns = [{ title: "Since" }, { title: "Version" }, { title: "How" }, { title: "By" }, { title: "Why" }];
  const cells = (promotion) => [
    h("time", { datetime: promotion.promoted_at }, moment(promotion.promoted_at)),
    `${promotion.version} ${promotion.name}`,
    badge(...verdict(promotion.verdict)),
    promotion.promoted_by,
    h("span", { class: "why" }, sentence(promotion.reason)),
  ];
  return table("Promotion history, the newest first", columns, promotions.map((promotion) => ({ cells: cells(promotion) })));
}

function refusalsOf(refusals) {
  if (!refusals.length) return nothing("None.");
  const columns = [{ title: "When" }, { title: "Version" }, { title: "Asked by" }, { title: "Why it was refused" }];
  return table("Refused promotions, the newest first", columns, refusals.map((refusal) => ({ cells: [moment(refusal.refused_at), refusal.version, refusal.asked_by, h("span", { class: "why" }, sentence(refusal.reason))] })));
}

async function promoted(version, update) {
  const reason = await ask({
    title: `Promote version ${version.version}?`,
    text: `${version.name} version ${version.version} will serve within seconds, ${isRejected(version) ? "although the gate rejected it" : "regardless of the gate's verdict"}. It is first loaded in a fresh process.`,
    action: `Promote version ${version.version}`,
    field: "Why? The history records it.",
  });
  if (reason !== null) await decided(`models/${version.version}/promote`, reason, "serves now", update);
}

async function rolledBack(update) {
  const reason = await ask({
    title: "Roll back?",
    text: "The previous version will serve again within seconds. A second rollback goes further back.",
    action: "Roll back",
    field: "Why? The history records it.",
    isGrave: true,
  });
  if (reason !== null) await decided("models/rollback", reason, "serves again", update);
}

async function decided(path, reason, what, update) {
  notify("Loading the version in a fresh process …");
  const buttons = document.querySelectorAll(".version-list button, #rollback");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const done = await post(path, { reason });
    notify(`Version ${done.version} (${done.name}) ${what}.`);
  } catch (error) {
    notify(error.message, true);
  }
  buttons.forEach((button) => (button.disabled = false));
  await update();
}
