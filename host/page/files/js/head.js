// What stands above a query's waterfall: the app, the outcome, the verdict.

import { facts, fill, h } from "./dom.js";
import { big, count, date, duration, floorWords, plural, visible } from "./format.js";
import { headline, outcomeBadge, reasonBlock, timeFacts, usageWords } from "./verdict.js";

const WHY = {
  "all-settled": "every partition is settled", deadline: "the gather's deadline came", "wait-over": "the floor is reached and the wait is over",
  "out-of-reach": "the floor is out of reach", "invalid-query": "a leaf refused the query", "merge-failed": "a merge failed", cancelled: "cancelled",
};

// Draws the head of `model`; `id` names the query until its first event has come, `reason` says why it failed if the events
// do not.
export function headDraw(root, model, id, reason = null) {
  const { head, end, planned } = model;
  const title = head ? head.app : "query";
  const state = end || model.live ? outcomeBadge(end ? end.outcome : null, end ? end.coverage : null) : null;
  const parts = head ? [
    planned ? plural(planned.partitions, "partition", "partitions") : "planning", plural(head.slots, "slot", "slots"),
    `deadline ${duration(head.deadline)}`, floorWords(head.floor), planned ? `weight ${count(planned.weight)}` : null, date(head.unixMs),
  ] : [];
  fill(root, [
    h("div", { class: "query-title" }, h("h1", { tabindex: "-1" }, title), state, h("code", { class: "query-id" }, head ? head.query : visible(id, 40))),
    h("p", { class: "verdict" }, end ? headline(end.coverage) : running(model)),
    // What the events tell of has its place further down; the failure of a finish only stands here.
    end ? reasonBlock(end.reason ?? reason, model.troubles.size === 0) : null,
    h("p", { class: "muted" }, parts.filter((part) => part).join(" · ")),
    end ? facts([...timeFacts(end.coverage), ["used", usageWords(model.usage, big)], ["gather ended", model.gatherEnd ? WHY[model.gatherEnd.why] ?? model.gatherEnd.why : null]]) : null,
  ]);
}

function running(model) {
  if (!model.live) return stopped(model);
  const phase = model.gatherEnd ? "merging" : model.planned ? `${plural(model.running.size, "leaf", "leaves")} running` : "planning";
  return `${phase}, ${duration(model.until())} into the query`;
}

// A recording that stops before its query does.
function stopped(model) {
  const phase = model.gatherEnd ? "while it merged" : model.planned
    ? `with ${count(model.settled)} of ${plural(model.partitions(), "partition", "partitions")} settled`
    : "before the plan was ready";
  return model.head ? `no end: the recording stops ${duration(model.last)} into the query, ${phase}: the query was killed, or still runs` : "the query's start is not recorded";
}
