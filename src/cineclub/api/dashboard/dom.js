/** Elements, created without markup: data of the API become text only. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element of HTML.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on` has listeners by event; false and null leave an attribute out
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

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodesOf(children));
}

/** Return a card with a heading; `more` is to the right of the heading. */
export function card(title, { more = null, className = "" } = {}, ...children) {
  const head = h("div", { class: "card-head" }, h("h2", {}, title), more);
  return h("section", { class: `card ${className}`.trim(), "aria-label": title }, head, ...children);
}

/** Return a table that scrolls if it is too wide; `columns` are `{ title, numeric }`. */
export function table(caption, columns, rows) {
  const head = columns.map((column) => h("th", { scope: "col", class: column.numeric ? "number" : null }, column.title));
  const body = rows.map(({ cells, ...attributes }) =>
    h("tr", attributes, ...cells.map((cell, nth) => h("td", { class: columns[nth].numeric ? "number" : null }, cell))),
  );
  return h(
    "div",
    { class: "scrolls", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)),
  );
}

/** Return a list of terms with their values, without those that have none; a true third entry takes a whole row. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, ...shown.map(([term, value, isWhole]) => h("div", { class: isWhole ? "whole" : null }, h("dt", {}, term), h("dd", {}, value))));
}

/** Return a word on a coloured background; the colour has the same meaning as the word. */
export function badge(text, tone) {
  return h("span", { class: `badge ${tone}` }, text);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodesOf(children));
  return element;
}

function nodesOf(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child)));
}
