// The server's API: requests with the token, problems as errors, event streams read by fetch.

import { askToken } from "./login.js";

const TOKEN = "frond-token";
const PAUSES = [500, 1000, 2000, 5000];

// The page may be served below a prefix: paths of the API are relative to it.
export function url(path) {
  return new URL(path, new URL(".", document.baseURI)).href;
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

// What the server refused, as it told it (RFC 9457), or that it could not be reached.
export class Problem extends Error {
  constructor(status, body) {
    super(body.title ?? `the server answered ${status}`);
    this.status = status;
    this.detail = body.detail ?? "";
    this.slug = body.slug ?? null;
    this.reason = body.reason ?? null;
    this.query = body.query ?? null;
    this.coverage = body.coverage ?? null;
  }

  static async of(response) {
    const body = await response.json().catch(() => ({}));
    return new Problem(response.status, typeof body === "object" && body !== null ? body : {});
  }
}

// Sends a request; asks for a token when one is needed, and again when it is wrong.
export async function request(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(url(path), { ...options, headers, cache: "no-store" }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { title: "the server cannot be reached", detail: "is `frond serve` still running?" });
    });
    if (response.status === 401) {
      if (sessionStorage.getItem(TOKEN) === token) forgetToken();
      const given = await askToken(token !== null);
      sessionStorage.setItem(TOKEN, given);
      continue;
    }
    if (!response.ok) throw await Problem.of(response);
    return response;
  }
}

// A resource in JSON.
export async function get(path, signal) {
  const response = await request(path, { signal, headers: { Accept: "application/json" } });
  return response.json();
}

// There is nothing more to follow: the last message is known.
export class Over extends Error {}

// The messages of an event stream, several at a time as they arrive: `{id, event, data}`.
export async function* messages(path, options = {}) {
  const response = await request(path, { ...options, headers: { ...options.headers, Accept: "text/event-stream" } });
  if (response.status === 204) throw new Over();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new StreamParser();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const found = parser.push(value);
    if (found.length > 0) yield found;
  }
}

// Splits an event stream into its messages (HTML, "Server-sent events").
export class StreamParser {
  constructor() {
    this.rest = "";
    this.message = { id: null, event: "message", data: [] };
  }

  push(text) {
    const lines = (this.rest + text).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    const found = [];
    for (const line of lines) {
      if (line === "") {
        const { id, event, data } = this.message;
        if (data.length > 0) found.push({ id, event, data: data.join("\n") });
        this.message = { id, event: "message", data: [] };
      } else this.field(line);
    }
    return found;
  }

  field(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.message.data.push(value);
    else if (name === "event" || name === "id") this.message[name] = value;
  }
}

// Follows a stream to its end, which is one after `take` has returned true for its messages; a stream that breaks off before
// is taken up where it ended.
export async function follow(path, { signal, take, state }) {
  let last = null;
  let over = false;
  for (let failures = 0; !signal.aborted; failures += 1) {
    try {
      const headers = last === null ? {} : { "Last-Event-ID": last };
      for await (const found of messages(path, { signal, headers })) {
        failures = 0;
        state?.("open");
        last = found.reduce((id, one) => one.id ?? id, last);
        over = take(found) || over;
      }
    } catch (error) {
      if (signal.aborted || error instanceof Over) return;
      if (error instanceof Problem && error.status >= 400 && error.status < 500) throw error;
    }
    if (over) return;
    state?.("lost");
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(failures, PAUSES.length - 1)]));
  }
}
