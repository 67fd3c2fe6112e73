// Jobs: work that outlives its request, newest first; with an id, one of them.

import { get } from "./api.js";
import { copyButton, fill, h, notice } from "./dom.js";
import { ago, visible } from "./format.js";
import { etaWords, jobBadge, jobProgress, jobView } from "./job.js";
import { poll } from "./poll.js";
import { href, note } from "./router.js";
import { problemNotice } from "./verdict.js";

const PAGE = 50;
const EVERY = 2000;
const STATES = ["queued", "planning", "running", "merging", "succeeded", "partial", "failed", "cancelled", "expired"];

// The list, or with an id one job; returns what ends it.
export function jobsView(root, route) {
  return route.rest.length > 0 ? jobView(root, route) : listView(root, route);
}

function listView(root, { params }) {
  const chosen = { app: params.get("app") ?? "", state: params.get("state") ?? "", after: params.get("after") ?? "" };
  const body = h("tbody", {});
  const below = h("div", {});
  const turn = (name) => (event) => {
    Object.assign(chosen, { [name]: event.target.value.trim(), after: "" });
    turned();
  };
  const states = h("select", { id: "filter-state", onchange: turn("state") }, h("option", { value: "" }, "every state"), STATES.map((state) => h("option", { value: state, selected: state === chosen.state }, state)));
  const apps = h("input", { id: "filter-app", value: chosen.app, placeholder: "every app", onchange: turn("app") });
  fill(root, h("h1", { tabindex: "-1" }, "Jobs"), h("div", { class: "filters" }, [
    h("span", {}, h("label", { for: "filter-app" }, "App"), apps), h("span", {}, h("label", { for: "filter-state" }, "State"), states),
  ]), h("div", { class: "table queries", tabindex: "0", role: "region", "aria-label": "jobs" }, h("table", {},
    h("thead", {}, h("tr", {}, ["state", "app", "partitions", "likely end", "submitted", "job"].map((head) => h("th", { scope: "col" }, head)))), body)), below);

  function turned() {
    note(["jobs"], chosen);
    polling.now();
  }
  function load(signal) {
    const asked = new URLSearchParams(Object.entries({ ...chosen, limit: PAGE }).filter(([, value]) => value !== ""));
    return get(`v1/jobs?${asked}`, signal).then(draw).catch((error) => signal.aborted || fill(below, problemNotice(error)));
  }
  function draw({ jobs, next }) {
    const focused = document.activeElement?.closest?.("tr")?.dataset.id;
    fill(body, jobs.map(row));
    if (focused) [...body.children].find((one) => one.dataset.id === focused)?.querySelector("a")?.focus();
    const to = (after, words) => h("button", { type: "button", class: "quiet", onclick: () => { chosen.after = after; turned(); } }, words);
    const pages = h("div", { class: "actions" }, chosen.after ? to("", "newest") : null, next ? to(next, "older") : null);
    fill(below, jobs.length === 0 ? none(chosen) : null, pages);
  }
  const polling = poll(EVERY, load);
  return polling.end;
}

function none(chosen) {
  if (chosen.app || chosen.state || chosen.after) return notice("info", "No job fits these filters");
  const command = "frond jobs submit APP 'QUERY'";
  return notice("info", "No jobs yet", h("p", {}, "Submit one: ", h("code", {}, command), " ", copyButton("copy", command)));
}

function row(job) {
  const cell = (content, kind) => h("td", { class: kind }, content);
  return h("tr", { "data-id": job.id }, [
    cell(jobBadge(job)),
    cell(h("a", { href: href(["apps", job.app]) }, visible(job.app, 60))),
    cell(jobProgress(job), "coverage-cell"),
    cell(etaWords(job)),
    cell(ago(job.created_unix_ms)),
    cell(h("a", { href: href(["jobs", job.id]) }, h("code", {}, visible(job.id, 40)))),
  ]);
}
