// Workers: the processes and hosts that run leaves for the server, and the reasons of those that get nothing.

import { get, request } from "./api.js";
import { badge, copyButton, fill, h, notice, sureButton } from "./dom.js";
import { ago, count, millis, plural, visible } from "./format.js";
import { poll } from "./poll.js";
import { problemNotice } from "./verdict.js";

const EVERY = 2000;
// The most refusals in a row.
const LISTED = 5;
const LIST = "frond workers list";
const START = "frond worker --nats URL";
const SETTINGS = "[workers]\nprocesses = 4\nnats = \"nats://broker:4222\"";

// The columns between a worker's name and its button: head, class and content.
const COLUMNS = [
  ["state", "state-cell", stateOf],
  ["busy slots", "coverage-cell", loadOf],
  ["attempts", "number", ({ attempts, waiting }) => (waiting > 0 ? `${count(attempts)}, ${count(waiting)} waiting` : count(attempts))],
  ["ended", "number wide-only", (worker) => count(worker.ended)],
  ["per second", "number", (worker) => (worker.rate < 10 ? worker.rate.toFixed(1) : count(worker.rate))],
  ["round trip", "number wide-only", (worker) => known(worker.round_trip_ms, "")],
  ["last heard", "number", (worker) => known(worker.silent_ms, " ago")],
];

// Shows the list; returns what ends it.
export function workersView(root) {
  const [summary, below, errors] = [h("div", {}), h("div", {}), h("div", {})];
  const done = h("p", { class: "muted", role: "status" });
  const body = h("tbody", {});
  const head = (words, kind) => h("th", { scope: "col", class: kind }, words);
  const heads = [head("worker"), ...COLUMNS.map(([words, kind]) => head(words, kind)), h("th", { scope: "col", "aria-label": "actions" })];
  const region = h("div", { class: "table queries workers", tabindex: "0", role: "region", "aria-label": "workers" },
    h("table", {}, h("thead", {}, h("tr", {}, heads)), body));
  const isolated = h("div", {});
  fill(root, h("h1", { tabindex: "-1" }, "Workers"), summary, errors, done, region, below, isolated);

  const rows = new Map();
  // What stands below is filled only when it changes: screen readers say it each time.
  let told = "";
  const tell = (what, make) => {
    if (what !== told) fill(below, make());
    told = what;
  };
  let shown = "";
  const showIsolated = (processes) => {
    const rows = processes.map(({ name, pid, state, apps = [], attempts, ended }) => [name, `${pid ?? ""}`, state, apps.join(", "), count(attempts), count(ended)]);
    if (JSON.stringify(rows) !== shown) fill(isolated, isolatedOf(rows));
    shown = JSON.stringify(rows);
  };
  const drain = (name) => {
    fill(errors);
    fill(done);
    return request(`v1/workers/${encodeURIComponent(name)}/drain`, { method: "POST" }).then(() => {
      fill(done, h("bdi", {}, visible(name, 120)), " gets no more attempts from this server, and leaves once those that run have ended.");
      region.focus({ preventScroll: true });
      polling.now();
    }).catch((error) => fill(errors, problemNotice(error)));
  };
  function draw(list) {
    const { workers } = list;
    const here = workers.filter(isHere);
    fill(summary, workers.length > 0 ? summaryOf(list, here) : null);
    showIsolated(list.isolated ?? []);
    const found = workers.map((worker, index) => [isHere(worker) ? `${worker.first_slot} ${worker.name}` : `not here ${index} ${worker.name}`, worker]);
    const keys = new Set(found.map(([key]) => key));
    [...rows.keys()].filter((key) => !keys.has(key)).forEach((key) => rows.delete(key));
    for (const [key, worker] of found) {
      if (!rows.has(key)) rows.set(key, new Row(worker, drain));
      rows.get(key).update(worker);
    }
    place(body, found.map(([key]) => rows.get(key).element));
    if (here.length > 0) tell("", () => null);
    else tell(`none ${list.may_join} ${list.local_slots}`, () => noneOf(list));
  }
  const load = (signal) => get("v1/workers", signal).then(draw).catch((error) =>
    signal.aborted || tell(`${error.message} ${error.detail}`, () => problemNotice(error)));
  const polling = poll(EVERY, load);
  return polling.end;
}

// Puts elements into `body`; those that are there already are not moved, and keep the focus.
function place(body, elements) {
  const same = elements.length === body.children.length && elements.every((one, index) => one === body.children[index]);
  if (same) return;
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  fill(body, elements);
  focused?.focus({ preventScroll: true });
}

// The row of a worker. Its cells are filled again and again; its button stays, with the question that it may just ask.
class Row {
  // The number of rows that were made: each has an id of its own.
  static made = 0;

  constructor({ name }, drain) {
    const id = `worker-${(Row.made += 1)}`;
    this.name = h("th", { scope: "row", id });
    this.cells = COLUMNS.map(([, kind]) => h("td", { class: kind }));
    this.button = sureButton("drain", "really? it gets no more attempts", "danger", () => drain(name));
    this.button.setAttribute("aria-describedby", id);
    this.element = h("tr", { "data-worker": visible(name, 120) }, this.name, this.cells, h("td", {}, this.button));
  }

  update(worker) {
    const last = worker.first_slot + worker.slots - 1;
    const numbers = worker.slots > 1 ? `slots ${worker.first_slot} to ${last}` : `slot ${worker.first_slot}`;
    const since = (ms) => ago(Date.now() - ms);
    const about = [
      visible(worker.version ?? "", 40),
      isHere(worker) ? numbers : "",
      worker.pid ? `process ${worker.pid}` : "",
      worker.state === "refused" ? `heard ${since(worker.age_ms)}` : `joined ${since(worker.age_ms)}`,
      worker.gone_ms === undefined ? "" : `left ${since(worker.gone_ms)}`,
    ].filter((part) => part !== "").join(" · ");
    fill(this.name, h("bdi", {}, visible(worker.name, 120)), h("p", { class: "muted" }, about));
    COLUMNS.forEach(([, , content], index) => fill(this.cells[index], content(worker)));
    this.button.hidden = worker.state !== "working";
  }
}

// True for a worker that has joined and has not left.
function isHere({ state }) {
  return !["drained", "refused", "spare"].includes(state);
}

// The state, the reason why the worker gets nothing, who drained it, and what it cannot run.
function stateOf({ state, idle_because: why, refusals = [], drained_ms: drained, drained_by: by }) {
  const isIdle = state === "working" && why;
  const kind = isIdle ? "warn" : { working: "good", draining: "busy", refused: "warn" }[state] ?? "none";
  const others = refusals.filter((refusal) => !isIdle || !why.endsWith(refusal));
  const shown = others.slice(0, LISTED).map((refusal) => h("li", {}, "cannot run: ", visible(refusal)));
  const more = others.length - shown.length;
  return [
    badge(kind, isIdle ? "gets nothing" : visible(state, 40)),
    isIdle || state === "refused" ? h("p", {}, "because ", visible(why)) : null,
    drained === undefined ? null : h("p", {}, "drained by ", h("bdi", {}, by === undefined ? "its own host" : visible(by, 120))),
    shown.length > 0 ? h("ul", { class: "plain is-warn" }, shown, more > 0 ? h("li", {}, `and ${count(more)} more`) : null) : null,
  ];
}

// Attempts that wait have no slot.
function loadOf({ attempts, waiting, slots }) {
  const busy = Math.min(Math.max(0, attempts - waiting), slots);
  const share = slots > 0 ? busy / slots : 0;
  return [h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${share * 100}%` } })), h("span", {}, `${count(busy)} of ${count(slots)}`)];
}

function known(ms, after) {
  return ms === null || ms === undefined ? "" : `${millis(ms)}${after}`;
}

// The processes of isolated apps.
function isolatedOf(rows) {
  if (rows.length === 0) return null;
  const row = ([name, pid, state, apps, attempts, ended]) => h("tr", {}, h("th", { scope: "row" }, visible(name, 120)), h("td", { class: "number" }, pid),
    h("td", {}, badge({ working: "good" }[state] ?? "none", visible(state, 40))), h("td", {}, visible(apps, 120)),
    h("td", { class: "number" }, attempts), h("td", { class: "number" }, ended));
  const heads = [["process", ""], ["number", "number"], ["state", ""], ["app", ""], ["attempts", "number"], ["ended", "number"]];
  return [
    h("h2", {}, "Processes of isolated apps"),
    h("div", { class: "table queries isolated", tabindex: "0", role: "region", "aria-label": "processes of isolated apps" },
      h("table", {}, h("thead", {}, h("tr", {}, heads.map(([words, kind]) => h("th", { scope: "col", class: kind }, words)))), h("tbody", {}, rows.map(row)))),
  ];
}

function summaryOf({ local_slots: own }, workers) {
  const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
  const here = own > 0 ? `leaves also run on ${plural(own, "slot", "slots")} of the server's own process` : "leaves run on workers only";
  return h("p", {}, `${plural(workers.length, "worker", "workers")} with ${plural(slots, "slot", "slots")}; ${here}. In a terminal: `,
    h("code", {}, LIST), " ", copyButton("copy", LIST));
}

// What stands in place of the list without workers.
function noneOf({ may_join: mayJoin, local_slots: own }) {
  const here = plural(own, "slot", "slots");
  if (!mayJoin) {
    return notice("info", "This server's leaves run in its own process", h("p", {}, `It has ${here}. For workers, name in the settings a number of processes on this machine, a NATS server that workers on other hosts join, or both, and start the server again:`),
      h("pre", {}, SETTINGS));
  }
  return notice(own > 0 ? "info" : "warn", "No worker has joined", [
    h("p", {}, own > 0 ? `Leaves run on ${here} of the server's own process.` : "Leaves run on workers only: none runs before one has joined."),
    h("p", {}, "Start one: ", h("code", {}, START), " ", copyButton("copy", START)),
    h("p", { class: "muted" }, "URL and pool are those of ", h("code", {}, "[workers]"), " in the server's settings. Worker processes of the server join by themselves."),
  ]);
}
