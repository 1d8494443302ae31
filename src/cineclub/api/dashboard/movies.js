/** Movies in lists: what is known of them, what speaks for them, and the movies similar to one. */

import { get } from "./api.js";
import { badge, fill, h } from "./dom.js";
import { movieTitle } from "./format.js";
import { failure, nothing } from "./loading.js";

const N_SIMILAR = 5;
const N_LABELS = 3;
const NAMED_APART = ["director", "language"];

/** Return a paragraph with genres, director, runtime and a few labels of a movie, where they are known. */
export function attributesOf(movie) {
  const labels = movie.labels ?? {};
  const others = Object.entries(labels).filter(([kind]) => !NAMED_APART.includes(kind)).flatMap(([, names]) => names);
  const parts = [
    movie.genres.join(", "),
    labels.director && `by ${namesOf(labels.director)}`,
    movie.runtime_minutes && `${movie.runtime_minutes} min`,
    namesOf(others.slice(0, N_LABELS)),
  ];
  return h("span", { class: "attributes" }, parts.filter(Boolean).join(" · "), movie.available === false && [" ", badge("withdrawn", "warn")]);
}

/** Return what speaks for a movie that the model has not learned: "like Ronin: director John Frankenheimer". */
export function likeWhat({ title, shared }) {
  return `like ${movieTitle({ title })}: ${sharedOf(shared)}`;
}

/** Return a button that shows the movies similar to one, and the place where it shows them. */
export function similarTo(movie) {
  const place = h("div", { class: "similar", hidden: true });
  const button = h("button", { type: "button", class: "quiet small", "aria-expanded": "false", "aria-label": `Films similar to ${movieTitle(movie)}`, on: { click: toggle } }, "Similar");
  return { button, place };

  async function toggle() {
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", String(!place.hidden));
    if (place.hidden) return;
    try {
      const { movies, strategy } = await get(`movies/${encodeURIComponent(movie.movie_id)}/similar?limit=${N_SIMILAR}`);
      fill(place, strategy === "popular" && h("p", { class: "soft" }, "Nothing is known of it: these are popular."), movies.length ? h("ul", { class: "movies" }, ...movies.map(similarOf)) : nothing("There are none."));
    } catch (error) {
      fill(place, failure(error));
    }
  }
}

function similarOf(movie) {
  const shared = movie.similar_to && h("p", { class: "because" }, `both: ${sharedOf(movie.similar_to.shared)}`);
  return h("li", { "data-similar": movie.movie_id }, h("span", {}, movieTitle(movie)), " ", h("small", {}, attributesOf(movie)), shared);
}

function sharedOf(shared) {
  return shared.map(({ kind, name }) => `${kind} ${name}`).join(", ");
}

/** A label is a name, or an object with its name. */
function namesOf(labels) {
  return labels.map((label) => label.name ?? label).join(", ");
}
