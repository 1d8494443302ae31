/** Numbers, times and names as text. */

export const STEPS = [
  ["load_ratings", "Load ratings"],
  ["filter_users_and_movies", "Filter users and films"],
  ["evaluate_models", "Evaluate models"],
  ["grid_search_svd", "Search better settings"],
  ["compare_with_production", "Compare with production"],
  ["register_model", "Register the model"],
  ["promote_if_better", "Promote if better"],
];

const VERDICTS = {
  PROMOTE: ["promoted", "good"],
  REFRESH: ["refreshed", "good"],
  HOLD: ["held back", "warn"],
  REJECT: ["rejected", "bad"],
  ROLLBACK: ["rolled back", "warn"],
  OK: ["OK", "good"],
  ALERT: ["ALERT", "bad"],
  NOT_ENOUGH_DATA: ["not enough data", "plain"],
  queued: ["queued", "plain"],
  running: ["running", "accent"],
  succeeded: ["succeeded", "good"],
  failed: ["failed", "bad"],
  cancelled: ["cancelled", "plain"],
};

const TRIGGERS = { request: "by hand", schedule: "by schedule", new_ratings: "new ratings", drift: "drift" };
const UNITS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** Return a verdict or a state in words, and its tone. */
export function verdict(name) {
  return VERDICTS[name] ?? [String(name).toLowerCase().replaceAll("_", " "), "plain"];
}

/** Return the cause of a training in words. */
export function trigger(name) {
  return TRIGGERS[name] ?? name;
}

/** Return a number with `digits` decimals, or a dash without one. */
export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

/** Return a number with at most three significant digits, or a dash without one. */
export function about(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
}

/** Return a share from 0 to 1 in percent. */
export function percent(share, digits = 0) {
  return share === null || share === undefined || !Number.isFinite(share) ? "–" : `${number(share * 100, digits)} %`;
}

/** Return seconds with a unit by their size. */
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value < 1) return `${about(value * 1000)} ms`;
  if (value < 90) return `${about(value)} s`;
  if (value < 5400) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${number(value / 3600, 1)} h`;
}

/** Return a moment in local time. */
export function moment(iso) {
  return iso ? new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" }) : "–";
}

/** Return the time since a moment in words. */
export function ago(iso, now = Date.now()) {
  const past = (new Date(iso).getTime() - now) / 1000;
  const [unit, size] = UNITS.find(([, seconds]) => Math.abs(past) >= seconds) ?? ["second", 1];
  return Math.abs(past) < 10 ? "just now" : RELATIVE.format(Math.round(past / size), unit);
}

/** Return the seconds between two moments, or until now without the second; null without the first. */
export function between(start, end, now = Date.now()) {
  return start ? ((end ? new Date(end).getTime() : now) - new Date(start).getTime()) / 1000 : null;
}

/** Return a name of the API in words. */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

/** Return a movie's title with its year; an article at its end ("Matrix, The") moves to the front. */
export function movieTitle({ title, year }) {
  const [, start, article] = /^(.*), (The|A|An|Les?|La|Das?|Der|Die|El|Il)$/.exec(title) ?? [null, title, null];
  const full = article ? `${article} ${start}` : start;
  return year ? `${full} (${year})` : full;
}

/** Return a sentence that begins with a capital and ends with a full stop. */
export function sentence(words) {
  const trimmed = String(words ?? "").trim();
  if (!trimmed) return "";
  const capitalized = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(capitalized) ? capitalized : `${capitalized}.`;
}
