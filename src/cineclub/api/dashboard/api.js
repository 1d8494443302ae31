/** Requests to the public API. */

const KEY = "cineclub-key";

/** An error of the API with its message. */
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

/** Store a key until the tab is closed; an empty one removes it. */
export function keepKey(secret) {
  if (secret) sessionStorage.setItem(KEY, secret);
  else sessionStorage.removeItem(KEY);
  dispatchEvent(new CustomEvent("cineclub:key-changed"));
}

/** Return the JSON at a path below the address of this page. */
export function get(path) {
  return request("GET", path).then((response) => response.json());
}

/** Return the JSON response to a POST. */
export function post(path, body) {
  return request("POST", path, body).then((response) => response.json());
}

/** Return the JSON response to a DELETE. */
export function remove(path) {
  return request("DELETE", path).then((response) => response.json());
}

/** Return a response as text. */
export function text(path) {
  return request("GET", path).then((response) => response.text());
}

/** Return the readiness, whose body is the same with status 200 and 503. */
export async function readiness() {
  const response = await fetched("ready", {});
  return response.json();
}

async function request(method, path, body) {
  const response = await fetched(path, {
    method,
    headers: { ...(key() ? { Authorization: `Bearer ${key()}` } : {}), ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.needsKey) dispatchEvent(new CustomEvent("cineclub:key-needed", { detail: error.message }));
  throw error;
}

async function fetched(path, options) {
  try {
    return await fetch(new URL(path, document.baseURI), { cache: "no-store", credentials: "omit", ...options });
  } catch {
    throw new ApiError(0, "unreachable", "the service does not answer: is it running?");
  }
}

async function errorOf(response) {
  const fallback = { code: "error", message: `the service responded with status ${response.status}` };
  const { code, message, ...details } = await response.json().then((body) => body.error ?? fallback, () => fallback);
  return new ApiError(response.status, code, message, details);
}
