// The page: its head, and the view that the URL names.

import { forgetToken, get, hasToken } from "./api.js";
import { appsView } from "./apps.js";
import { consoleView } from "./console.js";
import { fill, h, notice } from "./dom.js";
import { watchState } from "./feed.js";
import { plural, visible } from "./format.js";
import { jobsView } from "./jobs.js";
import { queriesView } from "./queries.js";
import { route } from "./router.js";
import { themeButton } from "./theme.js";
import { workersView } from "./workers.js";

const VIEWS = { apps: appsView, console: consoleView, queries: queriesView, jobs: jobsView, workers: workersView };
const root = document.getElementById("view");
let leave = () => {};
let shown = null;

function show(place) {
  leave();
  leave = () => {};
  fill(root);
  const view = VIEWS[place.name];
  if (view) leave = view(root, place);
  else fill(root, h("h1", { tabindex: "-1" }, "No such view"), notice("info", "The address names no view of this page."));
  for (const link of document.querySelectorAll(".nav a")) {
    if (link.dataset.view === place.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = [...place.rest.map((part) => visible(part, 40)), place.name, "Frond"].join(" · ");
  // The focus of the keyboard moves to the new view, not to the top of the page.
  if (shown !== null) {
    root.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = place;
}

function drawServer(server) {
  const words = [`frond ${visible(server.version, 40)}`, plural(server.slots, "slot", "slots")];
  fill(document.getElementById("server"), words.join(" · "));
  const leaveButton = h("button", { type: "button", class: "quiet", onclick: () => { forgetToken(); location.reload(); } }, "forget token");
  if (server.auth && hasToken()) document.getElementById("tools").prepend(leaveButton);
}

// A plain link to a place on the page would name a view.
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  root.focus();
});
document.getElementById("tools").append(themeButton());
route(show);
get("v1/server").then(drawServer).catch(() => {});
watchState((state) => {
  const line = document.getElementById("connection");
  line.hidden = state !== "lost";
  line.textContent = state === "lost" ? "the connection to the server is lost; trying again" : "";
});
