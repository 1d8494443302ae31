/** Search movies, rate some, and see the recommendations change; nothing is stored in an account. */

import { get, post } from "./api.js";
import { badge, card, fill, h } from "./dom.js";
import { movieTitle, number, percent } from "./format.js";
import { failure, nothing } from "./loading.js";
import { attributesOf, likeWhat, similarTo } from "./movies.js";

export const TITLE = "Try it";

const DEBOUNCE_MILLISECONDS = 200;
const N_RESULTS = 8;
const N_RECOMMENDED = 10;
const USUAL_SCALE = { lowest: 0.5, highest: 5 };
const N_STEPS = 10;

/** Ratings by movie id; they last while the page is open, also across views. */
const given = new Map();

/** Show the view in `root`. */
export function show(root) {
  const field = h("input", { id: "search", type: "search", autocomplete: "off", placeholder: "for example: godfather", "aria-controls": "search-results" });
  const results = h("ul", { id: "search-results", class: "movies", "aria-label": "Search results" });
  const rated = h("div", { id: "rated" });
  const recommendations = h("div", { id: "recommendations", "aria-live": "polite" });
  const fresh = h("input", { id: "fresh", type: "range", min: 0, max: 1, step: 0.1, value: 0 });
  const state = { results, rated, recommendations, field, fresh, scale: USUAL_SCALE, nRequests: 0, before: [] };
  fill(
    root,
    h(
      "div",
      { class: "column" },
      card("Find a film", {}, h("label", { for: "search" }, "Title, also with a few wrong letters"), field, results),
      card("Your ratings", {}, h("p", { class: "soft" }, "They stay on this page: no account is changed."), rated),
    ),
    card("Recommended", {}, freshOf(fresh, state), recommendations),
  );
  listen(state);
  get("models/production").then(({ rating_scale: scale }) => (state.scale = scale ?? USUAL_SCALE), () => {}).then(() => update(state));
}

function freshOf(slider, state) {
  const shown = h("output", { for: "fresh" }, percent(0));
  slider.addEventListener("input", () => (shown.textContent = percent(Number(slider.value))));
  slider.addEventListener("change", () => recommend(state));
  return h("div", { class: "fresh" }, h("label", { for: "fresh" }, "Fresh: what people like these days"), slider, shown);
}

function listen(state) {
  let timer = 0;
  state.field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => search(state), DEBOUNCE_MILLISECONDS);
  });
  state.field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") moveTo(event, state.results.querySelector("button"));
  });
  state.results.addEventListener("keydown", (event) => {
    const buttons = [...state.results.querySelectorAll("button")];
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
    fill(state.results);
    return;
  }
  try {
    const { movies } = await get(`movies/?search=${encodeURIComponent(title)}&limit=${N_RESULTS}`);
    if (title !== state.field.value.trim()) return;
    fill(state.results, movies.length ? movies.map((movie) => resultOf(movie, state)) : h("li", {}, nothing("There is no film with this title.")));
  } catch (error) {
    fill(state.results, h("li", {}, failure(error)));
  }
}

function resultOf(movie, state) {
  const isRated = given.has(String(movie.movie_id));
  const add = () => {
    state.field.value = "";
    fill(state.results);
    rate(movie, state.scale.highest, state);
    document.getElementById(ratingId(movie))?.focus();
  };
  return h("li", {}, h("button", { type: "button", class: "movie", disabled: isRated, on: { click: add } }, h("span", {}, movieTitle(movie)), h("small", {}, isRated ? "rated" : attributesOf(movie))));
}

function ratingId(movie) {
  return `rating-${movie.movie_id}`;
}

function rate(movie, rating, state) {
  given.set(String(movie.movie_id), { movie, rating });
  update(state);
}

function update(state) {
  fill(state.rated, given.size ? h("ul", { class: "rated" }, ...[...given.values()].map((rating) => ratedOf(rating, state))) : nothing("None yet: the list shows popular films."));
  if (state.field.value.trim()) search(state);
  recommend(state);
}

function ratedOf({ movie, rating }, state) {
  const { lowest, highest } = state.scale;
  const shown = h("output", { for: ratingId(movie) }, number(rating, 1));
  const slider = h("input", { id: ratingId(movie), type: "range", min: lowest, max: highest, step: stepOf(state.scale), value: rating, "aria-label": `Your rating of ${movieTitle(movie)}` });
  slider.addEventListener("input", () => (shown.textContent = number(Number(slider.value), 1)));
  slider.addEventListener("change", () => {
    given.set(String(movie.movie_id), { movie, rating: Number(slider.value) });
    recommend(state);
  });
  const drop = () => {
    given.delete(String(movie.movie_id));
    update(state);
  };
  return h("li", {}, h("span", { class: "title" }, movieTitle(movie)), slider, shown, h("button", { type: "button", class: "quiet small", "aria-label": `Remove your rating of ${movieTitle(movie)}`, on: { click: drop } }, "×"));
}

/** Return the step of a scale: 0.5 for stars, 1 up to ten points, else a tenth of the range. */
function stepOf({ lowest, highest }) {
  return highest - lowest <= N_STEPS / 2 ? 0.5 : highest - lowest <= N_STEPS ? 1 : (highest - lowest) / N_STEPS;
}

async function recommend(state) {
  const nth = ++state.nRequests;
  const ratings = [...given.values()].map(({ movie, rating }) => ({ movie_id: movie.movie_id, rating }));
  try {
    const fresh = Number(state.fresh.value);
    const response = await post("predict/", { ratings, top_n: N_RECOMMENDED, fresh });
    if (nth === state.nRequests) fill(state.recommendations, recommendationsOf(response, state, fresh));
  } catch (error) {
    if (nth === state.nRequests) fill(state.recommendations, failure(error));
  }
}

function recommendationsOf(response, state, fresh) {
  const ids = response.recommendations.map((recommendation) => recommendation.movie_id);
  const before = state.before;
  state.before = ids;
  const isPersonal = response.strategy === "model" && response.model;
  const by = isPersonal ? `Made for you by ${response.model.name} version ${response.model.version}` : fresh === 1 ? "What people like these days" : "Popular films: there are no ratings of yours that a model can use";
  return h(
    "div",
    {},
    h("p", { class: "soft" }, by, response.degraded && badge("degraded: from memory", "warn"), response.unknown_films.length > 0 && ` · the model has not learned ${response.unknown_films.length} of your films yet`),
    h("ol", { class: "recommended" }, ...response.recommendations.map((recommendation) => recommendedOf(recommendation, before))),
  );
}

function recommendedOf(recommendation, before) {
  const was = before.indexOf(recommendation.movie_id) + 1;
  const change = !before.length || was === recommendation.rank ? "" : !was ? "new" : was > recommendation.rank ? `▲ ${was - recommendation.rank}` : `▼ ${recommendation.rank - was}`;
  const stars = recommendation.predicted_stars === null ? null : h("span", { class: "stars", title: "your predicted rating" }, `★ ${number(recommendation.predicted_stars, 1)}`);
  const similar = similarTo(recommendation);
  const because = recommendation.reasons.map((reason) => `${movieTitle(reason)} ${number(reason.your_rating, 1)}`).join(", ");
  return h(
    "li",
    { "data-movie": recommendation.movie_id },
    h("div", { class: "movie-head" }, h("strong", {}, movieTitle(recommendation)), stars, change && h("span", { class: change === "new" ? "moved new" : "moved", title: "since your last rating" }, change), similar.button),
    h("p", { class: "soft" }, attributesOf(recommendation)),
    recommendation.similar_to && h("p", { class: "because" }, `new to the model, ${likeWhat(recommendation.similar_to)}`),
    because && h("p", { class: "because" }, `because you rated ${because}`),
    recommendation.crowd_weight && h("p", { class: "because" }, "popular now"),
    similar.place,
  );
}
