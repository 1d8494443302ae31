/** Elements with data of the API, or with its error message. */

import { ApiError } from "./api.js";
import { fill, h } from "./dom.js";

/**
 * Fill a place with the result of `load_`; return false if a retry needs another key first.
 * The place shows an error's message, and `missing` for a 404.
 */
export async function load(place, load_, show, missing = null) {
  try {
    const content = await load_();
    if (place.isConnected) fill(place, show(content));
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    fill(place, error.status === 404 && missing ? missing : failure(error));
    return !error.needsKey;
  }
}

/** Return a paragraph with an error's message. */
export function failure(error) {
  return h("p", { class: "failure", role: "alert" }, error.message);
}

/** Return a paragraph for a place that has nothing to show. */
export function nothing(...words) {
  return h("p", { class: "nothing" }, ...words);
}
