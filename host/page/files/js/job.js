// One job: how far it is, when it is likely to end, what there is so far, and what can be done about it.

import { get, Problem, request } from "./api.js";
import { answerView, save } from "./answer.js";
import { actButton, badge, facts, fill, h, panel, sureButton } from "./dom.js";
import { bytes, count, date, duration, percent, reasonWords, visible } from "./format.js";
import { href, note } from "./router.js";
import { readEvents } from "./query.js";
import { chosenOf, Run } from "./run.js";
import { Segments } from "./segments.js";
import { coverageBar, headline, missingTable, noteList, problemNotice, timeFacts } from "./verdict.js";

const EVERY = 1000;
// The page shows answers of this size; larger ones are for a file.
const SHOWN = 1 << 20;
const BASES = { history: "from earlier jobs of this version", progress: "from the pace of this job so far" };

const KINDS = { succeeded: "good", partial: "warn", failed: "bad", cancelled: "warn", expired: "none", queued: "none" };

export function jobBadge(job) {
  return badge(KINDS[job.state] ?? "busy", job.cancelling ? `${job.state}, cancelling` : job.state);
}

// How much of it is there, in words and as a bar.
export function jobProgress(job) {
  const { planned, done } = job.partitions;
  const words = planned > 0 ? `${count(done)} of ${count(planned)}` : "no plan yet";
  return [h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${job.fraction * 100}%` } })), h("span", {}, words)];
}

// When it is likely to end: the rest, and nine of ten times at most.
export function etaWords(job) {
  if (!job.eta) return job.finished_unix_ms === null ? "not known yet" : "";
  return `in ${duration(job.eta.p50_ms * 1000)}, at most ${duration(job.eta.p90_ms * 1000)}`;
}

// Shows the job; returns what ends it.
export function jobView(root, { rest: [id], params }) {
  const abort = new AbortController();
  const { signal } = abort;
  const path = `v1/jobs/${encodeURIComponent(id)}`;
  const head = h("header", { class: "query-head" });
  const actions = h("div", { class: "actions" });
  const [errors, account, answer] = [h("div", {}), h("div", { class: "panels" }), h("div", { class: "panels" })];
  const [course, unread] = [h("div", {}), h("div", {})];
  const crumbs = h("nav", { class: "crumbs", "aria-label": "breadcrumb" }, h("a", { href: href(["jobs"]) }, "Jobs"));
  fill(root, h("div", { class: "job" }, crumbs, head, actions, errors, account, answer, unread, course));
  const fail = (error) => {
    if (signal.aborted) return;
    if (error instanceof Problem && (error.status === 404 || error.status === 410)) fill(head, h("h1", { tabindex: "-1" }, error.status === 404 ? "No such job" : "This job has expired"));
    fill(errors, problemNotice(error));
  };
  let timer = null;
  let state = null;
  let run = null;
  let followed = 0;
  // What happened, from the first event on: when an ended job runs again, its events are read again.
  const follow = (epoch) => {
    run?.stop();
    followed = epoch;
    const change = (chosen) => note(["jobs", id], chosen);
    const mine = new Run({ change, head: () => {} }, { ...chosenOf(params), pauses: true }, (model) => new Segments(model));
    run = mine;
    fill(course, mine.element);
    readEvents(path, signal, mine, unread, ["end"]).catch((error) => {
      if (run === mine) fail(error);
    });
  };
  const load = () => get(path, signal).then((job) => {
    fill(head, headOf(job));
    fill(account, progressPanel(job), coveragePanel(job));
    if (job.state !== state) fill(actions, actionsOf(job, act, show));
    state = job.state;
    // It may have gone on and be over again since it was last looked at.
    const wentOn = run !== null && !run.live && (job.finished_unix_ms === null || job.epoch > followed);
    if (job.partitions.planned > 0 && (run === null || wentOn)) follow(job.epoch);
    if (job.finished_unix_ms === null) timer = setTimeout(load, EVERY);
  }).catch(fail);
  const act = (method, what) => {
    clearTimeout(timer);
    state = null;
    fill(errors);
    return request(`${path}${what}`, { method }).catch(fail).then(load);
  };
  const show = (what, title) => {
    fill(errors);
    return request(`${path}/${what}`, { signal }).then((reply) => answerPanel(reply, title, id)).then((shown) => fill(answer, shown)).catch(fail);
  };
  load();
  return () => {
    abort.abort();
    clearTimeout(timer);
    run?.stop();
  };
}

function headOf(job) {
  const ran = job.finished_unix_ms === null ? "" : `, ended ${date(job.finished_unix_ms)}`;
  return [
    h("h1", { tabindex: "-1", class: "query-title" }, jobBadge(job), " ", visible(job.app, 60)),
    h("p", { class: "verdict", role: "status" }, jobProgress(job), ` partitions, ${percent(job.fraction)} by weight`),
    h("p", { class: "muted" }, h("code", {}, visible(job.id, 40)), ` · submitted ${date(job.created_unix_ms)}${ran}`),
  ];
}

function progressPanel(job) {
  const { planned, done, degraded, failed, pending } = job.partitions;
  const of = (some) => (some > 0 ? count(some) : null);
  return panel("Progress", {}, facts([
    ["likely end", job.finished_unix_ms === null ? etaWords(job) : null],
    ["estimate", job.eta ? BASES[job.eta.basis] ?? job.eta.basis : job.finished_unix_ms === null ? visible(job.eta_missing ?? "") : null],
    ["at about", job.eta ? date(Date.now() + job.eta.p50_ms) : null],
    ["planned", of(planned)], ["done", count(done)], ["degraded", of(degraded)], ["failed", of(failed)], ["to do", of(pending)],
    ["attempts", of(job.attempts ?? 0)],
    ["claimed", job.epoch > 1 ? `${count(job.epoch)} times (after an interruption or a redrive)` : null],
    ["kept until", job.expires_unix_ms === null ? null : date(job.expires_unix_ms)],
    ["submitted by", job.caller === null ? null : visible(job.caller, 60)],
  ]), job.reason ? h("p", { class: "is-bad" }, reasonWords(job.reason)) : null);
}

function coveragePanel(job) {
  if (!job.coverage) return null;
  return panel("Coverage", {}, h("p", { class: "verdict" }, headline(job.coverage)), coverageBar(job.coverage), missingTable(job.coverage, null), noteList(job.coverage), facts(timeFacts(job.coverage)));
}

function actionsOf(job, act, show) {
  const ended = job.finished_unix_ms !== null;
  const answered = job.state === "succeeded" || job.state === "partial" || job.state === "cancelled";
  const lacks = ended && job.state !== "succeeded" && job.state !== "expired";
  return [
    ended ? null : actButton("result so far", "quiet", () => show("partial", "Result so far")),
    ended && answered ? actButton("result", "quiet", () => show("result", "Result")) : null,
    ended ? null : sureButton("cancel, keep the partials", "really? the partials so far become the result", "quiet", () => act("DELETE", "?keep-partial=true")),
    ended ? null : sureButton("cancel", "really? there will be no result", "danger", () => act("DELETE", "")),
    lacks ? sureButton("run the missing partitions", "really run the failed and missing partitions again?", "quiet", () => act("POST", "/redrive")) : null,
  ];
}

async function answerPanel(reply, title, id) {
  const blob = await reply.blob();
  const kind = reply.headers.get("content-type") ?? "application/octet-stream";
  const coverage = h("p", { class: "muted" }, `coverage ${reply.headers.get("frond-coverage") ?? "not reported"}, ${bytes(blob.size)}`);
  const saved = h("button", { type: "button", class: "quiet", onclick: () => save(`${id}.answer`, blob) }, "save");
  const text = blob.size <= SHOWN ? await blob.text().then(textual) : null;
  const shown = text === null ? h("div", { class: "actions" }, saved) : answerView(text, { type: kind, name: `${id}.answer` });
  return panel(title, {}, coverage, shown);
}

// What is text, laid out when it is JSON; null for other bytes.
function textual(text) {
  if (text.includes("\u{fffd}") || text.includes("\0")) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

