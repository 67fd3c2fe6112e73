// The self-contained file: one recorded query, from the events that the file holds.

import { fill, h } from "./dom.js";
import { headDraw } from "./head.js";
import { chosenOf, Run } from "./run.js";
import { themeButton } from "./theme.js";

const CHUNK = 2000;

const head = h("header", { class: "query-head" });
const change = (chosen) => {
  const params = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== null));
  try {
    history.replaceState(null, "", `#${params}`);
  } catch {
    // Some browsers let a page from a file have no history.
  }
};
const run = new Run({ change, head: (model) => headDraw(head, model, "") }, chosenOf(new URLSearchParams(location.hash.slice(1))));
fill(document.getElementById("view"), head, run.element);
document.getElementById("tools").append(themeButton());

// The events are parsed a chunk at a time, so that a long recording does not hold the page up.
const lines = document.getElementById("recording").textContent.split("\n").filter((line) => line !== "");
let next = 0;
function feed() {
  const events = lines.slice(next, next + CHUNK).map((line) => JSON.parse(line));
  next += CHUNK;
  run.push(events);
  if (next < lines.length) setTimeout(feed, 0);
  else run.close();
}
feed();
