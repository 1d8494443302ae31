/** Every version with its verdict; what served when and why; a person's decision to change it. */

import { get, post } from "./api.js";
import { ask, say } from "./asking.js";
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
    card("What served, and why", { className: "full" }, history),
    card("Refused promotions", { className: "full" }, refusals),
  );
  async function update() {
    await load(versions, () => get(`models/?limit=${LIMIT}`), (found) => {
      fill(history, historyOf(found.promotions));
      fill(refusals, refusalsOf(found.refusals));
      return versionsOf(found.versions, update);
    });
  }
  update();
}

function versionsOf(versions, update) {
  if (!versions.length) return nothing("No version is registered yet: ", h("a", { href: "#/trainings" }, "start a training"), ".");
  const judged = versions.filter((one) => Number.isFinite(ndcg(one)));
  return h(
    "div",
    {},
    judged.length > 1 && place(h("div", {}), (width) => dots(width, plotOf(judged))),
    judged.length > 1 && h("p", { class: "soft" }, "Each version as judged on the newest ratings of its own day. For versions of different days: ", h("code", {}, "cineclub models compare")),
    h("ul", { class: "version-list", "aria-label": "Versions, the newest first" }, ...versions.map((one) => versionOf(one, update))),
  );
}

function plotOf(versions) {
  const rows = versions.slice(0, 12).map((one) => ({
    name: `${one.version} ${one.name}`,
    value: ndcg(one),
    low: ends(one)[0],
    high: ends(one)[1],
    tone: one.serves ? "accent" : "",
    title: `version ${one.version} ${one.name}: ${number(ndcg(one), 4)}`,
  }));
  return { label: "nDCG of the versions with 95 % intervals; each version's figures stand below", unit: "nDCG, as judged before it was registered", rows, written: (value) => number(value, 2) };
}

function versionOf(one, update) {
  const [low, high] = ends(one);
  const figures = [
    ["nDCG", Number.isFinite(low) ? `${number(ndcg(one), 4)} (${number(low, 3)} – ${number(high, 3)})` : number(ndcg(one), 4)],
    ["recall", number(metric(one, "recall_at_"), 4)],
    ["ratings", number(one.snapshot_n_ratings)],
  ];
  const promote = h("button", { type: "button", class: "main", "data-promote": one.version, "aria-label": `Promote version ${one.version}`, on: { click: () => promoted(one, update) } }, "Promote");
  return h(
    "li",
    { class: one.serves ? "serves" : null, "data-version": one.version },
    h("div", { class: "version-head" }, h("strong", {}, `${one.version} · ${one.name}`), one.serves && badge("serves", "accent"), badge(...verdict(one.verdict)), h("span", { class: "soft", title: moment(one.registered_at) }, ago(one.registered_at))),
    one.serves && isRejected(one) && h("p", { class: "failure" }, "It serves although the gate rejected it. If that was not meant, roll back."),
    h("p", { class: "reason" }, sentence(one.reason)),
    h("p", { class: "soft" }, figures.map(([name, value]) => `${name} ${value}`).join(" · "), one.training_id && " · ", one.training_id && h("a", { href: `#/trainings/${one.training_id}` }, "its training")),
    one.serves ? null : promote,
  );
}

function isRejected(one) {
  return one.verdict === "REJECT";
}

function metric(one, start) {
  const name = Object.keys(one.metrics).find((each) => each.startsWith(start) && /_at_\d+$/.test(each));
  return one.metrics[name];
}

function ndcg(one) {
  return metric(one, "ndcg_at_");
}

function ends(one) {
  const end = (which) => Object.entries(one.metrics).find(([name]) => name.startsWith("ndcg_at_") && name.endsWith(which))?.[1] ?? null;
  return [end("_low"), end("_high")];
}

function historyOf(promotions) {
  if (!promotions.length) return nothing("Nothing served yet.");
  const columns = [{ title: "Since" }, { title: "Version" }, { title: "How" }, { title: "By" }, { title: "Why" }];
  const cells = (one) => [
    h("time", { datetime: one.promoted_at }, moment(one.promoted_at)),
    `${one.version} ${one.name}`,
    badge(...verdict(one.verdict)),
    one.promoted_by,
    h("span", { class: "why" }, sentence(one.reason)),
  ];
  return table("What served, the newest first", columns, promotions.map((one) => ({ cells: cells(one) })));
}

function refusalsOf(refusals) {
  if (!refusals.length) return nothing("None.");
  const columns = [{ title: "When" }, { title: "Version" }, { title: "Asked by" }, { title: "Why it was refused" }];
  return table("Refused promotions, the newest first", columns, refusals.map((one) => ({ cells: [moment(one.refused_at), one.version, one.asked_by, h("span", { class: "why" }, sentence(one.reason))] })));
}

async function promoted(one, update) {
  const reason = await ask({
    title: `Promote version ${one.version}?`,
    text: `${one.name} version ${one.version} will answer within seconds, ${isRejected(one) ? "although the gate rejected it" : "whatever the gate said of it"}. It is loaded in a fresh process first.`,
    action: `Promote version ${one.version}`,
    field: "Why? It is kept in the history.",
  });
  if (reason !== null) await decided(`models/${one.version}/promote`, reason, "serves now", update);
}

async function rolledBack(update) {
  const reason = await ask({
    title: "Roll back?",
    text: "The version that served before will answer again within seconds. A second rollback goes further back.",
    action: "Roll back",
    field: "Why? It is kept in the history.",
    isGrave: true,
  });
  if (reason !== null) await decided("models/rollback", reason, "serves again", update);
}

async function decided(path, reason, what, update) {
  say("Loading the version in a fresh process …");
  const buttons = document.querySelectorAll(".version-list button, #rollback");
  buttons.forEach((button) => (button.disabled = true));
  try {
    const done = await post(path, { reason });
    say(`Version ${done.version} (${done.name}) ${what}.`);
  } catch (error) {
    say(error.message, true);
  }
  buttons.forEach((button) => (button.disabled = false));
  await update();
}
