/** Places that are filled from the API, with the API's own words where that fails. */

import { ApiError } from "./api.js";
import { fill, h } from "./dom.js";

/**
 * Fill a place from what `load` gives; return false where another try makes no sense before there is another key.
 * An error shows in the place, and `missing` in place of a 404.
 */
export async function load(place, load_, show, missing = null) {
  try {
    const found = await load_();
    if (place.isConnected) fill(place, show(found));
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    fill(place, error.status === 404 && missing ? missing : failure(error));
    return !error.needsKey;
  }
}

/** Return a paragraph that says what went wrong. */
export function failure(error) {
  return h("p", { class: "failure", role: "alert" }, error.message);
}

/** Return a paragraph for a place that has nothing to show. */
export function nothing(...words) {
  return h("p", { class: "nothing" }, ...words);
}
