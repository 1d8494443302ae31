/** Elements, made without markup: what an API says is only ever text. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element of HTML.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on` holds listeners by event; false and null leave an attribute out
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * Return an element of SVG.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Put children in the place of all that an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...kept(children));
}

/** Return a card with a heading; `more` stands to the right of the heading. */
export function card(title, { more = null, className = "" } = {}, ...children) {
  const head = h("div", { class: "card-head" }, h("h2", {}, title), more);
  return h("section", { class: `card ${className}`.trim(), "aria-label": title }, head, ...children);
}

/** Return a table that scrolls by itself where it is too wide; `columns` are `{ title, numeric }`. */
export function table(caption, columns, rows) {
  const head = columns.map((one) => h("th", { scope: "col", class: one.numeric ? "number" : null }, one.title));
  const body = rows.map(({ cells, ...attributes }) =>
    h("tr", attributes, ...cells.map((cell, nth) => h("td", { class: columns[nth].numeric ? "number" : null }, cell))),
  );
  return h(
    "div",
    { class: "scrolls", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)),
  );
}

/** Return a list of terms with what they are, those without a value left out; a third entry of a pair takes a whole row. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, ...shown.map(([term, value, isWhole]) => h("div", { class: isWhole ? "whole" : null }, h("dt", {}, term), h("dd", {}, value))));
}

/** Return a word on a coloured ground; the colour only repeats what the word says. */
export function badge(text, tone) {
  return h("span", { class: `badge ${tone}` }, text);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kept(children));
  return element;
}

function kept(children) {
  return children.flat().filter((one) => one !== null && one !== undefined && one !== false).map((one) => (one instanceof Node ? one : String(one)));
}
