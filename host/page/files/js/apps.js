// The apps of a server: their health, what they may use, the laws they keep. One of them in full.

import { get } from "./api.js";
import { badge, facts, fill, h, notice, panel, table } from "./dom.js";
import { listen } from "./feed.js";
import { problemNotice } from "./verdict.js";
import { ago, big, bytes, count, duration, floorWords, plural, visible, visibleLines } from "./format.js";
import { href } from "./router.js";

const HEALTH = { serving: "good", loading: "busy", broken: "bad" };
const INSTANCES = { fresh: "fresh for each call", query: "one for each query and slot" };
const LAWS = { hold: "good", broken: "bad", unchecked: "none" };

// The list, or with a name one app; returns what ends it.
export function appsView(root, { rest: [name] }) {
  return name === undefined ? listView(root) : oneView(root, name);
}

function listView(root) {
  const list = h("ul", { class: "plain cards" });
  fill(root, h("h1", { tabindex: "-1" }, "Apps"), list);
  const apps = new Map();
  const draw = () => {
    const sorted = [...apps.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
    fill(list, sorted.length > 0 ? sorted.map(card) : h("li", {}, notice("info", "No apps", h("p", {}, "Start the server with a folder that has a frond.toml: ", h("code", {}, "frond serve examples/rail")))));
  };
  const take = (app) => {
    apps.set(app.name, app);
    draw();
  };
  return load(root, "v1/apps", (body) => {
    body.apps.forEach((app) => apps.set(app.name, app));
    draw();
  }, take);
}

function oneView(root, name) {
  const heading = h("h1", { tabindex: "-1" }, visible(name, 120));
  const body = h("div", {});
  fill(root, h("nav", { class: "crumbs", "aria-label": "breadcrumb" }, h("a", { href: href(["apps"]) }, "Apps")), heading, body);
  const draw = (app) => fill(body, details(app));
  return load(root, `v1/apps/${encodeURIComponent(name)}`, draw, (app) => app.name === name && draw(app));
}

// Fetches once, then listens; what goes wrong is shown instead.
function load(root, path, draw, take) {
  const abort = new AbortController();
  const errors = h("div", {});
  root.append(errors);
  const fetchAll = () => get(path, abort.signal).then(draw).catch((error) => {
    if (!abort.signal.aborted) fill(errors, problemNotice(error));
  });
  fetchAll();
  const silence = listen(({ event, data }) => {
    if (event === "app") take(data);
    if (event === "again") fetchAll();
  });
  return () => {
    abort.abort();
    silence();
  };
}

function healthBadge(app) {
  return badge(HEALTH[app.health] ?? "none", app.health);
}

function lawsBadge(app) {
  const words = { hold: "laws hold", broken: "laws broken", unchecked: "laws unchecked" };
  return app.laws ? badge(LAWS[app.laws] ?? "none", words[app.laws] ?? app.laws, "identity, associativity, commutativity, grouping, growth") : null;
}

function card(app) {
  const name = h("a", { href: href(["apps", app.name]) }, visible(app.name, 120));
  const words = (app.deadline_ms ?? null) === null ? [] : [
    `source: ${app.source}`, `order: ${app.order}`, `deadline ${duration(app.deadline_ms * 1000)}`, floorWords(app.floor),
    app.serving ? `version ${app.serving.number}` : null,
  ];
  return h("li", { class: "card" }, [
    h("div", { class: "card-head" }, h("h2", {}, name), healthBadge(app), lawsBadge(app)),
    h("p", { class: "muted" }, words.filter((word) => word).join(" · ")),
    app.change ? h("p", { class: "is-busy" }, `${app.change.stage}: ${visible(app.change.text)}`) : null,
    app.refused ? h("p", { class: "is-bad" }, `refused at ${app.refused.stage}: ${visible(app.refused.error.split("\n")[0])}`) : null,
    h("div", { class: "card-foot" }, queriesLine(app), h("a", { class: "button", href: href(["console", app.name]) }, "ask")),
  ]);
}

function queriesLine(app) {
  const { total, running, complete, partial, failed } = app.queries;
  const text = total === 0
    ? "no queries yet"
    : `${plural(total, "query", "queries")}: ${count(complete)} complete, ${count(partial)} partial, ${count(failed)} failed${running > 0 ? `, ${count(running)} running` : ""}`;
  return h("a", { href: href(["queries"], { app: app.name }), class: "muted" }, text);
}

function details(app) {
  return h("div", { class: "app" }, [
    h("p", { class: "badges" }, healthBadge(app), lawsBadge(app), h("a", { class: "button", href: href(["console", app.name]) }, "ask this app")),
    app.change ? notice("busy", `a new version is at ${app.change.stage}`, h("p", {}, visible(app.change.text)), h("p", { class: "muted" }, `since ${ago(app.change.since_unix_ms)}`)) : null,
    app.refused ? notice("bad", `refused at ${app.refused.stage}, ${ago(app.refused.at_unix_ms)}`, h("pre", {}, visibleLines(app.refused.error)),
      h("p", { class: "muted" }, app.serving ? `version ${app.serving.number} keeps serving` : "nothing serves")) : null,
    (app.warnings ?? []).map((text) => notice("warn", visible(text))),
    h("div", { class: "panels" }, [
      (app.deadline_ms ?? null) === null ? null : panel("Promises", {}, facts([
        ["answer", visible(app.content_type)], ["source", app.source], ["order of partials", app.order], ["instances of the leaf", INSTANCES[app.instance] ?? app.instance],
        ["deadline", duration(app.deadline_ms * 1000)], ["longest deadline", app.max_deadline_ms ? duration(app.max_deadline_ms * 1000) : null], ["floor", floorWords(app.floor)],
        ["required", app.require && app.require.length > 0 ? app.require.map((key) => visible(key, 120)).join(", ") : "none"],
        ["queries", queriesLine(app)],
      ])),
      app.limits ? limitsPanel(app.limits) : null,
      app.grants ? grantsPanel(app.grants) : null,
      (app.examples ?? []).length > 0 ? examplesPanel(app) : null,
      versionsPanel(app),
    ]),
  ]);
}

function limitsPanel(limits) {
  const roles = ["leaf", "merge", "split"].filter((role) => limits[role]);
  const rows = [
    ["fuel", (one) => (one.fuel === 0 ? "unmetered" : big(one.fuel))], ["memory", (one) => bytes(one.memory)],
    ["table elements", (one) => count(one.table_elements)], ["output", (one) => bytes(one.output)], ["log", (one) => bytes(one.log)],
    ["host calls", (one) => count(one.host_calls)], ["time", (one) => (one.time_ms === null || one.time_ms === undefined ? "the query's" : duration(one.time_ms * 1000))],
  ].map(([name, words]) => [name, ...roles.map((role) => words(limits[role]))]);
  return panel("Limits", {}, table(["", ...roles.map((role) => `#${role}`)], rows, { label: "limits" }), h("p", { class: "muted" }, [
    limits.partition ? `a partition has at most ${bytes(limits.partition)}; ` : "",
    limits.deterministic ? "clocks and randomness are seeded by query and partition" : "clocks and randomness are real",
  ]));
}

function grantsPanel(grants) {
  const list = (some) => (some && some.length > 0 ? h("ul", { class: "plain" }, some.map((one) => h("li", {}, h("code", {}, visible(one))))) : "none");
  return panel("Grants", {}, facts([
    ["directories", list(grants.directories)], ["environment", list(grants.env)], ["config", list(grants.config)], ["http", list(grants.http)],
  ]), h("p", { class: "muted" }, "for the leaf and the split; a merge is granted nothing"));
}

function examplesPanel(app) {
  const items = app.examples.map(({ name, query }) =>
    h("li", {}, h("a", { href: href(["console", app.name], { body: query }) }, visible(name, 120)), h("pre", { class: "one-line" }, visible(query, 300))));
  return panel("Examples", {}, h("ul", { class: "plain examples" }, items));
}

function partRow(version, role) {
  const part = version[role];
  return part ? [role, h("code", { title: part.digest }, part.digest.slice(0, 12)), bytes(part.bytes), part.origin] : null;
}

function versionsPanel(app) {
  const versions = app.versions ?? [];
  if (versions.length === 0) return panel("Plugins", {}, h("p", { class: "muted" }, "Nothing has served yet."));
  const serving = app.serving ? app.serving.number : null;
  const items = versions.map((version) => h("li", {}, [
    h("h3", {}, `version ${version.number} `, version.number === serving ? badge("good", "serving") : null, h("span", { class: "muted" }, ` since ${ago(version.since_unix_ms)}`)),
    table(["role", "sha256", "#size", "from"], ["leaf", "merge", "split"].map((role) => partRow(version, role)).filter((row) => row), { label: `plugins of version ${version.number}` }),
    version.checks ? h("p", { class: "muted" }, `cases: ${visible(version.checks.cases)} · canary: ${visible(version.checks.canary)}`) : null,
  ]));
  return panel("Plugins", {}, h("ul", { class: "plain" }, items));
}
