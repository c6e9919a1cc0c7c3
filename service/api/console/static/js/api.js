// Calls of the API. An error is the problem document (RFC 9457) that the API answers.

import { session } from "./session.js";

// Where the console is served from is where the API is, also behind a prefix.
const ROOT = new URL("../../v1/", import.meta.url);

export class Problem extends Error {
  constructor({ type = "", title = "It did not work", detail = "", status = 0 }) {
    super(detail || title);
    this.slug = type.split("/").pop();
    this.title = title;
    this.detail = detail;
    this.status = status;
  }
}

/** Called when the API no longer takes the key. */
let onRefused = () => {};
export const whenRefused = (listener) => {
  onRefused = listener;
};

/** The JSON of an answer; raises Problem. `query` leaves out what is null or empty. */
export async function call(method, path, { body, query = {}, signal, key = session.key } = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await answered(url, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    credentials: "omit",
    cache: "no-store",
  });
  const document = await response.json().catch(() => null);
  if (response.ok) return document;
  if (response.status === 401 && session.project) onRefused();
  throw new Problem({ status: response.status, ...document });
}

/** Whether the API asks for a key here: on the machine itself it may not. */
export async function needsKey() {
  const response = await answered(new URL("../entry", import.meta.url), { credentials: "omit" });
  return (await response.json()).needs_key;
}

async function answered(url, request) {
  try {
    return await fetch(url, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server does not answer", detail: "Is it running? Try again." });
  }
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, body, options) => call("POST", path, { body, ...options });
export const put = (path, body, options) => call("PUT", path, { body, ...options });
export const remove = (path, options) => call("DELETE", path, options);

/** The path of one user; ids may hold any character. */
export const userPath = (userId, rest = "") => `users/${encodeURIComponent(userId)}${rest}`;
