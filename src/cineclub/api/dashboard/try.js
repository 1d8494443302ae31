/** Search films, rate some, and see what that changes; nobody's account is written. */

import { get, post } from "./api.js";
import { badge, card, fill, h } from "./dom.js";
import { film, number } from "./format.js";
import { failure, nothing } from "./loading.js";

export const TITLE = "Try it";

const DEBOUNCE_MILLISECONDS = 200;
const N_FOUND = 8;
const N_RECOMMENDED = 10;
const USUAL_SCALE = { lowest: 0.5, highest: 5 };
const N_STEPS = 10;

/** The ratings outlive a look at another view, and end with the page. */
const given = new Map();

/** Show the view in `root`. */
export function show(root) {
  const field = h("input", { id: "search", type: "search", autocomplete: "off", placeholder: "for example: godfather", "aria-controls": "found" });
  const found = h("ul", { id: "found", class: "films", "aria-label": "Found films" });
  const rated = h("div", { id: "rated" });
  const answer = h("div", { id: "answer", "aria-live": "polite" });
  const state = { found, rated, answer, field, scale: USUAL_SCALE, asked: 0, before: [] };
  fill(
    root,
    h(
      "div",
      { class: "column" },
      card("Find a film", {}, h("label", { for: "search" }, "Title, a few wrong letters do no harm"), field, found),
      card("Your ratings", {}, h("p", { class: "soft" }, "They stay on this page: nobody's account is written."), rated),
    ),
    card("Recommended", {}, answer),
  );
  listen(state);
  get("models/production").then(({ rating_scale: scale }) => (state.scale = scale ?? USUAL_SCALE), () => {}).then(() => update(state));
}

function listen(state) {
  let timer = 0;
  state.field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => search(state), DEBOUNCE_MILLISECONDS);
  });
  state.field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") moveTo(event, state.found.querySelector("button"));
  });
  state.found.addEventListener("keydown", (event) => {
    const buttons = [...state.found.querySelectorAll("button")];
    const nth = buttons.indexOf(document.activeElement);
    if (event.key === "ArrowDown") moveTo(event, buttons[nth + 1]);
    if (event.key === "ArrowUp") moveTo(event, buttons[nth - 1] ?? state.field);
    if (event.key === "Escape") moveTo(event, state.field);
  });
}

function moveTo(event, element) {
  event.preventDefault();
  element?.focus();
}

async function search(state) {
  const title = state.field.value.trim();
  if (!title) {
    fill(state.found);
    return;
  }
  try {
    const { movies } = await get(`movies/?search=${encodeURIComponent(title)}&limit=${N_FOUND}`);
    if (title !== state.field.value.trim()) return;
    fill(state.found, movies.length ? movies.map((one) => foundOf(one, state)) : h("li", {}, nothing("No film is called like that.")));
  } catch (error) {
    fill(state.found, h("li", {}, failure(error)));
  }
}

function foundOf(movie, state) {
  const isRated = given.has(String(movie.movie_id));
  const add = () => {
    state.field.value = "";
    fill(state.found);
    rate(movie, state.scale.highest, state);
    document.getElementById(ratingId(movie))?.focus();
  };
  return h("li", {}, h("button", { type: "button", class: "film", disabled: isRated, on: { click: add } }, h("span", {}, film(movie)), h("small", {}, isRated ? "rated" : movie.genres.join(", "))));
}

function ratingId(movie) {
  return `rating-${movie.movie_id}`;
}

function rate(movie, rating, state) {
  given.set(String(movie.movie_id), { movie, rating });
  update(state);
}

function update(state) {
  fill(state.rated, given.size ? h("ul", { class: "rated" }, ...[...given.values()].map((one) => ratedOf(one, state))) : nothing("None yet: the list shows what is popular."));
  if (state.field.value.trim()) search(state);
  recommend(state);
}

function ratedOf({ movie, rating }, state) {
  const { lowest, highest } = state.scale;
  const shown = h("output", { for: ratingId(movie) }, number(rating, 1));
  const slider = h("input", { id: ratingId(movie), type: "range", min: lowest, max: highest, step: stepOf(state.scale), value: rating, "aria-label": `Your rating of ${film(movie)}` });
  slider.addEventListener("input", () => (shown.textContent = number(Number(slider.value), 1)));
  slider.addEventListener("change", () => {
    given.set(String(movie.movie_id), { movie, rating: Number(slider.value) });
    recommend(state);
  });
  const drop = () => {
    given.delete(String(movie.movie_id));
    update(state);
  };
  return h("li", {}, h("span", { class: "title" }, film(movie)), slider, shown, h("button", { type: "button", class: "quiet small", "aria-label": `Remove your rating of ${film(movie)}`, on: { click: drop } }, "×"));
}

/** Halves on a scale like that of stars, a tenth of the way on others. */
function stepOf({ lowest, highest }) {
  return highest - lowest <= N_STEPS / 2 ? 0.5 : highest - lowest <= N_STEPS ? 1 : (highest - lowest) / N_STEPS;
}

async function recommend(state) {
  const nth = ++state.asked;
  const ratings = [...given.values()].map(({ movie, rating }) => ({ movie_id: movie.movie_id, rating }));
  try {
    const answer = await post("predict/", { ratings, top_n: N_RECOMMENDED });
    if (nth === state.asked) fill(state.answer, answerOf(answer, state));
  } catch (error) {
    if (nth === state.asked) fill(state.answer, failure(error));
  }
}

function answerOf(answer, state) {
  const ids = answer.recommendations.map((one) => one.movie_id);
  const before = state.before;
  state.before = ids;
  const isPersonal = answer.strategy === "model" && answer.model;
  const by = isPersonal ? `Made for you by ${answer.model.name} version ${answer.model.version}` : "What most people like: there is nothing of yours to go by";
  return h(
    "div",
    {},
    h("p", { class: "soft" }, by, answer.degraded && badge("degraded: from memory", "warn"), answer.unknown_films.length > 0 && ` · the model has not learned ${answer.unknown_films.length} of your films yet`),
    h("ol", { class: "recommended" }, ...answer.recommendations.map((one) => recommendedOf(one, before))),
  );
}

function recommendedOf(one, before) {
  const was = before.indexOf(one.movie_id) + 1;
  const change = !before.length || was === one.rank ? "" : !was ? "new" : was > one.rank ? `▲ ${was - one.rank}` : `▼ ${one.rank - was}`;
  const stars = one.predicted_stars === null ? null : h("span", { class: "stars", title: "the rating expected of you" }, `★ ${number(one.predicted_stars, 1)}`);
  const because = one.reasons.map((each) => `${film(each)} ${number(each.your_rating, 1)}`).join(", ");
  return h(
    "li",
    { "data-movie": one.movie_id },
    h("div", { class: "film-head" }, h("strong", {}, film(one)), stars, change && h("span", { class: change === "new" ? "moved new" : "moved", title: "since your last rating" }, change)),
    h("p", { class: "soft" }, one.genres.join(", ")),
    because && h("p", { class: "because" }, `because you rated ${because}`),
  );
}
