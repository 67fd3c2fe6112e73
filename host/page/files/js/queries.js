// Queries, running and recent, newest first; the list follows what happens.

import { get } from "./api.js";
import { badge, fill, h, notice } from "./dom.js";
import { listen } from "./feed.js";
import { ago, count, duration, percent, visible } from "./format.js";
import { href, note } from "./router.js";
import { queryView } from "./query.js";
import { problemNotice } from "./verdict.js";

const MOST = 200;
const OUTCOMES = ["running", "complete", "partial", "failed"];

// The list, or with an id one query; returns what ends it.
export function queriesView(root, route) {
  return route.rest.length > 0 ? queryView(root, route) : listView(root, route);
}

function listView(root, { params }) {
  const chosen = { app: params.get("app") ?? "", outcome: params.get("outcome") ?? "" };
  const rows = new Map();
  const body = h("tbody", {});
  const empty = h("div", {});
  const apps = h("select", { id: "filter-app", onchange: (event) => choose("app", event.target.value) });
  const outcomes = h("select", { id: "filter-outcome", onchange: (event) => choose("outcome", event.target.value) }, options(OUTCOMES, chosen.outcome, "every outcome"));
  const heads = ["outcome", "app", "coverage", "#took", "#of", "started", "query"];
  fill(root, h("h1", { tabindex: "-1" }, "Queries"), h("div", { class: "filters" }, [
    h("span", {}, h("label", { for: "filter-app" }, "App"), apps), h("span", {}, h("label", { for: "filter-outcome" }, "Outcome"), outcomes),
  ]), h("div", { class: "table queries", tabindex: "0", role: "region", "aria-label": "queries" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((head) =>
    h("th", { scope: "col", class: head.startsWith("#") ? "number" : null }, head.replace("#", ""))))), body)), empty);

  function choose(name, value) {
    chosen[name] = value;
    note(["queries"], chosen);
    draw();
  }
  const wanted = (one) => (!chosen.app || one.app === chosen.app) && (!chosen.outcome || (one.outcome ?? "running") === chosen.outcome);
  let frame = null;
  function draw() {
    frame = null;
    const all = [...rows.values()].sort((one, other) => other.started_unix_ms - one.started_unix_ms || (one.id < other.id ? 1 : -1));
    all.slice(MOST).forEach((one) => rows.delete(one.id));
    const names = [...new Set([...all.map((one) => one.app), chosen.app].filter((name) => name))].sort();
    if (document.activeElement !== apps) fill(apps, options(names, chosen.app, "every app"));
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    fill(body, all.slice(0, MOST).filter(wanted).map(row));
    if (focused) [...body.children].find((one) => one.dataset.id === focused)?.querySelector("a")?.focus();
    const none = rows.size === 0 ? "No queries yet" : "No query fits these filters";
    fill(empty, body.children.length > 0 ? null : notice("info", none, h("p", {}, "Run a query in the ", h("a", { href: href(["console"]) }, "console"), ".")));
  }
  const later = () => (frame ??= requestAnimationFrame(draw));
  const abort = new AbortController();
  const fetchAll = () => get(`v1/queries?limit=${MOST}`, abort.signal).then(({ queries }) => {
    queries.forEach((one) => rows.get(one.id)?.state === "ended" || rows.set(one.id, one));
    draw();
  }).catch((error) => abort.signal.aborted || fill(empty, problemNotice(error)));
  fetchAll();
  const silence = listen(({ event, data }) => {
    if (event === "again") fetchAll();
    if (event !== "query") return;
    rows.set(data.id, data);
    later();
  });
  const clock = setInterval(later, 10_000);
  return () => {
    abort.abort();
    silence();
    clearInterval(clock);
  };
}

function options(names, chosen, all) {
  return [h("option", { value: "" }, all), ...names.map((name) => h("option", { value: name, selected: name === chosen }, visible(name, 60)))];
}

function outcome(one) {
  if (one.state === "running") return badge("busy", "running");
  const kinds = { complete: "good", partial: "warn", failed: "bad" };
  const reason = one.reason ? ` ${one.reason}` : "";
  return badge(kinds[one.outcome] ?? "none", `${one.outcome ?? "ended"}${reason}`);
}

function coverage(one) {
  const { planned, settled, missing } = one.partitions;
  const there = Math.max(0, settled - missing);
  const share = one.state === "running" ? (planned > 0 ? settled / planned : 0) : one.fraction ?? 0;
  const words = planned > 0 ? `${count(there)} of ${count(planned)}` : "no plan";
  const weight = missing > 0 ? `, ${percent(one.fraction ?? 0)} by weight` : "";
  return [h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${share * 100}%` } })), h("span", {}, words + weight)];
}

function row(one) {
  const cell = (content, kind) => h("td", { class: kind }, content);
  return h("tr", { "data-id": one.id }, [
    cell(outcome(one)),
    cell(h("a", { href: href(["apps", one.app]) }, visible(one.app, 60))),
    cell(coverage(one), "coverage-cell"),
    cell(one.took_ms === null || one.took_ms === undefined ? "" : duration(one.took_ms * 1000), "number"),
    cell(duration(one.deadline_ms * 1000), "number"),
    cell(ago(one.started_unix_ms)),
    cell(h("a", { href: href(["queries", one.id]) }, h("code", {}, visible(one.id, 40)))),
  ]);
}
