/** The public API, asked as any other program asks it. */

const KEY = "cineclub-key";

/** What the API says went wrong, in its own words. */
export class ApiError extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }

  /** Whether another key may help. */
  get needsKey() {
    return this.status === 401 || this.code === "access_denied";
  }
}

/** Return the key of this tab; empty without one. */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keep a key until the tab is closed; an empty one is forgotten. */
export function keepKey(secret) {
  if (secret) sessionStorage.setItem(KEY, secret);
  else sessionStorage.removeItem(KEY);
  dispatchEvent(new CustomEvent("cineclub:key-changed"));
}

/** Return the JSON at an address below this page's own. */
export function get(path) {
  return asked("GET", path).then((response) => response.json());
}

/** Return what the API answers to a body. */
export function post(path, body) {
  return asked("POST", path, body).then((response) => response.json());
}

/** Return what the API answers to a deletion. */
export function remove(path) {
  return asked("DELETE", path).then((response) => response.json());
}

/** Return an answer as text. */
export function text(path) {
  return asked("GET", path).then((response) => response.text());
}

/** Return the readiness, which is told in the same words with status 200 and 503. */
export async function readiness() {
  const response = await reached("ready", {});
  return response.json();
}

async function asked(method, path, body) {
  const response = await reached(path, {
    method,
    headers: { ...(key() ? { Authorization: `Bearer ${key()}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.needsKey) dispatchEvent(new CustomEvent("cineclub:key-needed", { detail: error.message }));
  throw error;
}

async function reached(path, options) {
  try {
    return await fetch(new URL(path, document.baseURI), { cache: "no-store", credentials: "omit", ...options });
  } catch {
    throw new ApiError(0, "unreachable", "the service does not answer: is it running?");
  }
}

async function errorOf(response) {
  const fallback = { code: "error", message: `the service answered ${response.status}` };
  const { code, message, ...details } = await response.json().then((one) => one.error ?? fallback, () => fallback);
  return new ApiError(response.status, code, message, details);
}
