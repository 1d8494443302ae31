/** Shows the view of the address; the `show` of a view returns a function that ends it. */

import { ApiError } from "./api.js";
import { askForKey, notify } from "./asking.js";
import { fill, h } from "./dom.js";
import * as drift from "./drift.js";
import * as now from "./now.js";
import * as trainings from "./trainings.js";
import * as tryIt from "./try.js";
import * as versions from "./versions.js";

const VIEWS = { now, trainings, versions, drift, try: tryIt };
const ABOUT_KEYS = "A key is kept in this tab only, until it is closed. Create one with: cineclub keys create";
const content = document.getElementById("content");
let end = () => {};

function show() {
  end();
  const [, name = "", argument = ""] = location.hash.split("/");
  const known = name in VIEWS ? name : "now";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const root = h("div", { class: `view ${known}` });
  fill(content, h("h1", {}, VIEWS[known].TITLE), root);
  document.title = `${VIEWS[known].TITLE} – cineclub`;
  end = VIEWS[known].show(root, decoded(argument)) ?? (() => {});
}

function decoded(argument) {
  try {
    return decodeURIComponent(argument);
  } catch {
    return argument; // a typed address may be invalid
  }
}

function move() {
  notify("");
  show();
  content.focus({ preventScroll: true });
  scrollTo(0, 0);
}

addEventListener("hashchange", move);
addEventListener("cineclub:key-needed", (event) => askForKey(event.detail));
addEventListener("cineclub:key-changed", show);
addEventListener("unhandledrejection", (event) => {
  if (!(event.reason instanceof ApiError)) return;
  event.preventDefault();
  notify(event.reason.message, true);
});
document.getElementById("key-button").addEventListener("click", () => {
  askForKey(ABOUT_KEYS);
  document.getElementById("key-field").focus();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});
show();
