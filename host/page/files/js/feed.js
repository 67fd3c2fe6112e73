// What happens on the server, shared by the views: one stream of `/v1/events`, from the first listener on.

import { follow } from "./api.js";

const listeners = new Set();
const states = new Set();
let state = "connecting";
let started = false;

// Calls `take` with each message, `{event, data}` with the data parsed, until the returned function is called.
export function listen(take) {
  listeners.add(take);
  start();
  return () => listeners.delete(take);
}

// Calls `take` with the state of the connection, now and when it changes.
export function watchState(take) {
  states.add(take);
  take(state);
}

function change(next) {
  if (state === next) return;
  state = next;
  states.forEach((take) => take(state));
}

function start() {
  if (started) return;
  started = true;
  const { signal } = new AbortController();
  follow("v1/events", { signal, take: deliver, state: change }).catch(() => {
    started = false;
    change("lost");
  });
}

function deliver(messages) {
  for (const { event, data } of messages) {
    let parsed = null;
    try {
      parsed = JSON.parse(data);
    } catch {
      continue;
    }
    listeners.forEach((take) => take({ event, data: parsed }));
  }
  return false;
}
