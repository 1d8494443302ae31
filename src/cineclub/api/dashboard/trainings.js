/** Trainings: start, progress, cancel, and reports. */

import { get, post, remove } from "./api.js";
import { ask, notify } from "./asking.js";
import { badge, card, facts, fill, h, table } from "./dom.js";
import { STEPS, ago, between, moment, seconds, sentence, trigger, verdict } from "./format.js";
import { failure, load, nothing } from "./loading.js";
import { every } from "./polling.js";
import { reportOf } from "./scoreboard.js";

export const TITLE = "Trainings";

const POLL_MILLISECONDS = 1000;
const isUnderWay = (training) => training !== undefined && ["queued", "running"].includes(training.status);

/** Show the view in `root`, the report of one training if its id is given; return a function that ends it. */
export function show(root, trainingId) {
  const live = h("div", {});
  const list = h("div", {});
  const report = h("div", {});
  const state = { live, list, report, shown: "", drawn: "", messages: [], trainingId, stop: () => {} };
  fill(root, card("Training", { className: "full" }, live), card("The report", { className: "full" }, report), card("All trainings", { className: "full" }, list));
  state.stop = every(POLL_MILLISECONDS, () => turn(state));
  return () => state.stop();
}

async function turn(state) {
  let newest;
  const goesOn = await load(state.list, () => get("training/?limit=50"), ({ trainings }) => {
    newest = trainings;
    return listOf(trainings, state);
  });
  if (newest) {
    await showLive(state, newest[0]);
    await showReport(state, newest);
  } else {
    fill(state.live, nothing("See below."));
    fill(state.report, nothing("See below."));
  }
  return goesOn;
}

function redrawn(state, part, text) {
  const same = state[part] === text;
  state[part] = text;
  return same;
}

async function showLive(state, newest) {
  if (redrawn(state, "drawn", JSON.stringify([newest, isUnderWay(newest) && Math.floor(Date.now() / 1000)]))) return;
  if (isUnderWay(newest)) fill(state.live, liveOf(newest, state));
  else if (!state.live.querySelector("form")) fill(state.live, startForm(newest, state));
}

function startForm(newest, state) {
  const reason = h("input", { id: "reason", maxlength: 500, placeholder: "for example: new films came in", autocomplete: "off" });
  const models = h("input", { id: "models", placeholder: "all", autocomplete: "off", "aria-describedby": "models-about" });
  const problem = h("div", {});
  const start = async (event) => {
    event.preventDefault();
    const names = models.value.split(/[\s,]+/).filter(Boolean);
    const body = { ...(names.length ? { models: names } : {}), ...(reason.value.trim() ? { reason: reason.value.trim() } : {}) };
    try {
      await post("training/", body);
      state.messages = [];
      if (state.trainingId) location.hash = "#/trainings";
      else restart(state);
    } catch (error) {
      fill(problem, failure(error));
    }
  };
  return h(
    "div",
    {},
    newest ? endOf(newest) : nothing("There is no training yet."),
    h(
      "form",
      { class: "fields", on: { submit: start } },
      h("div", {}, h("label", { for: "reason" }, "Why (optional)"), reason),
      h("div", {}, h("label", { for: "models" }, "Which models"), models, h("small", { id: "models-about" }, "names separated by commas; empty: all")),
      h("button", { type: "submit", class: "main", id: "start-training" }, "Start a training"),
    ),
    problem,
  );
}

function restart(state) {
  state.stop();
  state.stop = every(POLL_MILLISECONDS, () => turn(state));
}

function endOf(training) {
  const [label, tone] = verdict(training.status);
  const took = between(training.started_at, training.finished_at);
  const when = training.finished_at ? `${ago(training.finished_at)}${took ? `, after ${seconds(took)}` : ""}` : "";
  return h("p", { id: "last-training" }, "The newest training ", badge(label, tone), ` ${when}`, training.error && h("span", { class: "failure" }, ` ${sentence(training.error)}`));
}

function liveOf(training, state) {
  const { progress } = training;
  const at = STEPS.findIndex(([name]) => name === progress?.step);
  note(state, progress);
  const cancel = h("button", { type: "button", class: "grave", id: "cancel-training", disabled: training.cancel_requested, on: { click: () => cancelled(training, state) } }, training.cancel_requested ? "Stopping …" : "Cancel");
  return h(
    "div",
    { class: "live" },
    h("p", { class: "headline" }, badge(...verdict(training.status)), ` ${trigger(training.trigger)}${training.reason ? `: ${training.reason}` : ""}`, h("span", { class: "soft" }, ` ${seconds(Math.round(between(training.started_at ?? training.requested_at)))}`)),
    h("ol", { class: "steps" }, ...STEPS.map(([, title], nth) => stepOf(title, nth, at, progress))),
    progress && h("p", { class: "soft" }, progress.message || progress.candidate || ""),
    h("details", { open: state.isLogOpen, on: { toggle: (event) => (state.isLogOpen = event.target.open) } }, h("summary", {}, state.messages.length === 1 ? "1 message so far" : `${state.messages.length} messages so far`), h("pre", {}, state.messages.join("\n"))),
    cancel,
  );
}

function note(state, progress) {
  const line = progress && [progress.step, progress.candidate, progress.message].filter(Boolean).join(" · ");
  if (line && state.messages.at(-1) !== line) state.messages.push(line);
}

function stepOf(title, nth, at, progress) {
  const state = nth < at ? "done" : nth === at ? "current" : "ahead";
  const fraction = state === "done" ? 1 : state === "current" ? progress.fraction : 0;
  return h("li", { class: state, "aria-current": state === "current" ? "step" : null }, h("span", {}, title), h("progress", { max: 1, value: fraction, "aria-label": `${title}: ${Math.round(fraction * 100)} %` }));
}

async function cancelled(training, state) {
  const confirmation = await ask({ title: "Cancel this training?", text: "Its results so far are lost. Production stays as it is.", action: "Cancel the training", isGrave: true });
  if (confirmation === null) return;
  await remove(`training/${training.training_id}`);
  notify("The training was asked to stop.");
  restart(state);
}

async function showReport(state, trainings) {
  const wanted = state.trainingId || trainings.find((training) => training.status === "succeeded")?.training_id;
  if (!wanted) fill(state.report, nothing("The report of the newest successful training will appear here."));
  const known = trainings.find((training) => training.training_id === wanted);
  if (!wanted || redrawn(state, "shown", `${wanted} ${known?.status}`)) return;
  const isThere = await load(state.report, () => get(`training/${encodeURIComponent(wanted)}`), detailOf);
  if (!isThere) state.shown = "";
}

function detailOf(training) {
  return h(
    "div",
    {},
    facts([
      ["Training", h("code", {}, training.training_id)],
      ["Started", `${moment(training.started_at)}, ${trigger(training.trigger)}`],
      ["Reason", training.reason],
      ["State", badge(...verdict(training.status))],
      ["Error", training.error],
    ]),
    training.report ? reportOf(training.report) : nothing("This training has no report: only successful ones have one."),
  );
}

function listOf(trainings, state) {
  if (!trainings.length) return nothing("There is no training yet.");
  const columns = [{ title: "When" }, { title: "State" }, { title: "Took", numeric: true }, { title: "Started" }, { title: "Why" }];
  return table("All trainings, the newest first", columns, trainings.map((training) => rowOf(training, state)));
}

function rowOf(training, state) {
  const isShown = training.training_id === state.trainingId;
  const link = h("a", { href: `#/trainings/${training.training_id}`, "aria-current": isShown ? "true" : null }, moment(training.requested_at));
  return { cells: [link, badge(...verdict(training.status)), seconds(between(training.started_at, training.finished_at)), trigger(training.trigger), h("span", { class: "why" }, training.error ?? training.reason ?? "")] };
}
