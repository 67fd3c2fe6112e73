// What happens on the server, shared by the views: one stream of `/v1/events`, while somebody listens and looks. A browser
// has only a few connections to a server, and tabs share them: a tab that nobody sees gives its own back.

import { follow } from "./api.js";

const listeners = new Set();
const states = new Set();
let state = "closed";
let stream = null;
// True once something may have been missed.
let stale = false;

// Calls `take` with each message, `{event, data}` with the data parsed, until the returned function is called. The event
// `again` says that some may have been missed: the view should fetch its data again.
export function listen(take) {
  listeners.add(take);
  update();
  return () => {
    listeners.delete(take);
    update();
  };
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

// Opens the stream, or gives it back.
function update() {
  const wanted = listeners.size > 0 && document.visibilityState === "visible";
  if (wanted && stream === null) {
    stream = new AbortController();
    const mine = stream;
    const heard = (next) => (next === "lost" ? lose() : open());
    follow("v1/events", { signal: mine.signal, take: deliver, state: heard }).catch(() => {
      if (stream === mine) stream = null;
      change("lost");
    });
  } else if (!wanted && stream !== null) {
    stream.abort();
    stream = null;
    stale = true;
    change("closed");
  }
}

function lose() {
  stale = true;
  change("lost");
}

function open() {
  change("open");
  if (stale) tell({ event: "again", data: null });
  stale = false;
}

function tell(message) {
  listeners.forEach((take) => take(message));
}

function deliver(messages) {
  for (const { event, data } of messages) {
    if (event === "missed") tell({ event: "again", data: null });
    else tell({ event, data: JSON.parse(data) });
  }
  return false;
}

document.addEventListener("visibilitychange", update);
