/** A dialog to confirm a decision, the form for a key, and short notices. */

import { keepKey, key } from "./api.js";
import { fill, h } from "./dom.js";

/**
 * Ask in a dialog; return the text of its field (empty without a field), or null if it was closed.
 * @param {{title: string, text: string, action: string, field?: string, isGrave?: boolean}} dialog
 * @returns {Promise<string|null>}
 */
export function ask({ title, text, action, field = "", isGrave = false }) {
  const input = field ? h("textarea", { id: "dialog-field", rows: 3, required: true, maxlength: 500 }) : null;
  const close = () => dialog.close("");
  const form = h(
    "form",
    { method: "dialog", on: { submit: () => (dialog.returnValue = "yes") } },
    h("h2", { id: "dialog-title" }, title),
    h("p", {}, text),
    input && h("label", { for: "dialog-field" }, field),
    input,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", class: "quiet", on: { click: close } }, "Close"),
      h("button", { type: "submit", value: "yes", class: isGrave ? "grave" : "main" }, action),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? (input?.value.trim() ?? "") : null);
      dialog.remove();
    });
  });
}

/** Show a notice below the navigation. */
export function notify(text, isError = false) {
  const place = document.getElementById("notices");
  place.classList.toggle("bad", isError);
  fill(place, text, text && h("button", { type: "button", class: "quiet small", "aria-label": "Close this notice", on: { click: () => notify("") } }, "×"));
}

/** Show the form for a key, with the reason for it. */
export function askForKey(why) {
  const place = document.getElementById("key-place");
  const shown = place.querySelector("[data-why]");
  if (shown) {
    shown.textContent = why;
    return;
  }
  const input = h("input", { id: "key-field", type: "password", autocomplete: "off", spellcheck: "false", value: key() });
  const use = (event) => {
    event.preventDefault();
    fill(place);
    keepKey(input.value.trim());
  };
  fill(
    place,
    h(
      "form",
      { class: "key-form", on: { submit: use } },
      h("p", { "data-why": true, role: "alert" }, why),
      h("label", { for: "key-field" }, "Key"),
      input,
      h("button", { type: "submit", class: "main" }, "Use this key"),
      h("button", { type: "button", class: "quiet", on: { click: () => fill(place) } }, "Close"),
    ),
  );
}
