// One query: how it stands or ended, its waterfall while it runs and afterwards, what was asked and answered.

import { follow, get, Problem, request } from "./api.js";
import { answerView, save } from "./answer.js";
import { copyButton, fill, h, notice, panel } from "./dom.js";
import { bytes, date, floorWords, plural, visible, visibleLines } from "./format.js";
import { chosenOf, Run } from "./run.js";
import { href, note } from "./router.js";
import { asCli, asCurl } from "./commands.js";
import { headDraw } from "./head.js";
import { problemNotice } from "./verdict.js";

// Shows the query; returns what ends it.
export function queryView(root, { rest: [id], params }) {
  const abort = new AbortController();
  const { signal } = abort;
  const path = `v1/queries/${encodeURIComponent(id)}`;
  const head = h("header", { class: "query-head" });
  const actions = h("div", { class: "actions" });
  const errors = h("div", {});
  const asked = h("div", { class: "panels" });
  const change = (chosen) => note(["queries", id], chosen);
  const run = new Run({ change, head: (model) => headDraw(head, model, id, run.reason) }, chosenOf(params));
  fill(root, h("nav", { class: "crumbs", "aria-label": "breadcrumb" }, h("a", { href: href(["queries"]) }, "Queries")), head, actions, errors, run.element, asked);
  const fail = (error) => {
    if (!signal.aborted) fill(errors, problemNotice(error));
  };
  const load = async () => {
    const one = await get(path, signal);
    drawActions(actions, one, path, fail);
    run.reason = one.reason;
    fill(asked, askedPanel(one), answerPanel(one));
    // The app's limits and laws are for what stands out; a query can outlive its app.
    run.app = await get(`v1/apps/${encodeURIComponent(one.app)}`, signal).catch(() => null);
    run.dirty = true;
  };
  load().catch(fail);
  readEvents(path, signal, run, errors).then(load).catch((error) => {
    if (error instanceof Problem && error.status === 404) {
      run.stop();
      run.element.hidden = true;
      fill(head, h("h1", { tabindex: "-1" }, "No such query"));
    }
    fail(error);
  });
  return () => {
    abort.abort();
    run.stop();
  };
}

// What ends a query's events: what was not kept may have been the end.
const ENDS = ["query-ended", "missed"];

// Feeds the events of a query or a job to `run`, the past ones first, until one of `ends`.
export async function readEvents(path, signal, run, errors, ends = ENDS) {
  const take = (found) => {
    const events = [];
    let over = false;
    for (const { event, data } of found) {
      const parsed = JSON.parse(data);
      if (event === "missed") run.model.missed += parsed.count;
      else if (event !== "end") events.push(parsed);
      over ||= ends.includes(event);
    }
    run.push(events);
    return over;
  };
  const state = (now) => fill(errors, now === "lost" ? notice("warn", "the connection is lost; trying again") : null);
  run.open();
  try {
    await follow(`${path}/events`, { signal, take, state });
    fill(errors);
  } finally {
    run.close();
  }
}

function drawActions(root, one, path, fail) {
  const text = one.query ? one.query.text : null;
  const asking = { app: one.app, body: text ?? "", deadline: `${one.deadline_ms}ms`, floor: floorParam(one.floor), require: one.require ?? [] };
  const cancel = h("button", { type: "button", class: "danger", onclick: () => {
    cancel.disabled = true;
    request(path, { method: "DELETE" }).catch(fail);
  } }, "cancel");
  const recording = h("button", { type: "button", class: "quiet", onclick: () => {
    request(`${path}/events`, { headers: { Accept: "application/x-ndjson" } }).then((response) => response.blob()).then((blob) => save(`${one.id}.ndjson`, blob)).catch(fail);
  } }, "save recording");
  const whole = text !== null && !one.query.cut;
  fill(root, [
    one.state === "running" ? cancel : null,
    whole ? h("a", { class: "button", href: href(["console", one.app], { body: text, deadline: asking.deadline, floor: asking.floor, require: asking.require }) }, "ask again") : null,
    whole ? copyButton("copy as curl", () => asCurl(asking)) : null,
    whole ? copyButton("copy as CLI", () => asCli(asking)) : null,
    recording,
  ]);
}

// A floor as the API's parameter has it.
function floorParam(floor) {
  return typeof floor === "object" && floor !== null ? String(floor["at-least"]) : String(floor ?? "");
}

function askedPanel(one) {
  const query = one.query ?? {};
  const text = query.text ?? null;
  const cut = query.cut ? h("p", { class: "muted" }, `the first part of ${bytes(query.bytes)}`) : null;
  const body = text === null ? h("p", { class: "muted" }, `${bytes(query.bytes ?? 0)} that are not text`) : h("pre", { class: "code", tabindex: "0" }, text === "" ? "(empty)" : visibleLines(text));
  const required = (one.require ?? []).length > 0 ? `required: ${one.require.map((key) => visible(key, 120)).join(", ")}` : null;
  const facts = [date(one.started_unix_ms), `version ${one.version}`, plural(one.slots, "slot", "slots"), floorWords(one.floor), required];
  return panel("Query", {}, body, cut, h("p", { class: "muted" }, facts.filter((fact) => fact).join(" · ")));
}

// The answer's text or bytes; JSON that is all there is laid out.
function bodyOf({ answer, content_type: type }) {
  if (typeof answer.text !== "string") return { base64: answer.base64 ?? "" };
  if (answer.cut || !/\bjson\b/.test(type ?? "")) return answer.text;
  try {
    return JSON.parse(answer.text);
  } catch {
    return answer.text;
  }
}

function answerPanel(one) {
  if (!one.answer) return one.state === "running" ? null : panel("Answer", {}, h("p", { class: "muted" }, "There is no answer."));
  const cut = one.answer.cut ? h("p", { class: "muted" }, `the first part of ${bytes(one.answer.bytes)}`) : null;
  return panel("Answer", {}, cut, answerView(bodyOf(one), { type: one.content_type ?? undefined, name: `${one.id}.answer` }));
}
