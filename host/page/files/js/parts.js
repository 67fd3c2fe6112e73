// The panels of a query beside its waterfall: critical path, times, slots, stragglers, failures, lints, one partition.

import { fill, h, panel, sign, table } from "./dom.js";
import { big, bytes, count, duration, percent, plural, share, times, visible, visibleLines } from "./format.js";
import { timeOf } from "./figures.js";
import { fateWords, instanceWords, shareWords } from "./lane.js";
import { failureDetails } from "./verdict.js";

const MAX_SLOTS = 16;
// So many leaves have their lines shown.
const MAX_WRITTEN = 10;

// The steps that made the query take as long as it did.
export function pathPanel(path, total) {
  if (path.length === 0) return null;
  const rows = path.map((step) => [
    h("bdi", {}, step.what),
    duration(step.to - step.from),
    percent(share(step.to - step.from, total)),
    h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${share(step.to - step.from, total) * 100}%` } })),
  ]);
  return panel("Critical path", { class: "panel path" }, table(["step", "#time", "#share", ""], rows, { label: "critical path" }));
}

// Quantiles by nearest rank.
export function timesPanel(figures) {
  const rows = [
    ["leaf, succeeded", figures.leaf],
    ["wait for a slot", figures.wait],
    ["wait without one", figures.waited],
    ["merge", figures.merge],
  ].filter(([, row]) => row);
  if (rows.length === 0) return null;
  const cells = rows.map(([name, row]) => [name, count(row.n), ...[row.p50, row.p90, row.p99, row.max].map(duration)]);
  return panel("Times", {}, table(["", "#n", "#p50", "#p90", "#p99", "#max"], cells, { label: "times" }), h("p", { class: "muted" }, "quantiles by nearest rank"));
}

// How busy slots were.
export function slotsPanel(model, figures) {
  const used = figures.slots;
  if (used.length === 0) return null;
  const declared = Math.max(model.head ? model.head.slots : 0, used.length);
  const busy = used.reduce((sum, slot) => sum + slot.share, 0) / declared;
  const words = `${count(used.length)} used of ${count(declared)}, busy ${percent(busy)} of the time from the plan to the gather's end`;
  const byShare = [...used].sort((one, other) => other.share - one.share);
  const shown = used.length <= MAX_SLOTS ? used : [byShare[0], byShare[byShare.length - 1]];
  const rows = shown.map((slot) => [
    `slot ${slot.slot}`,
    h("span", { class: "meter" }, h("span", { style: { width: `${slot.share * 100}%` } })),
    percent(slot.share),
    `${plural(slot.attempts, "attempt", "attempts")}${slot.warm > 0 ? `, ${count(slot.warm)} warm` : ""}`,
  ]);
  const note = shown === used ? null : h("p", { class: "muted" }, "the busiest and the idlest");
  const warm = model.warm > 0
    ? h("p", {}, `${count(model.warm)} of ${plural(model.attempts, "attempt", "attempts")} ran warm: the instance had served earlier partitions`)
    : null;
  const waited = model.waiting > 0
    ? h("p", {}, `${count(model.waiting)} of ${plural(model.attempts, "attempt", "attempts")} waited without a slot, ${duration(model.waited)} in all`)
    : null;
  return panel("Slots", {}, h("p", {}, words), warm, waited, table(["slot", "busy", "#share", "#ran"], rows, { label: "slots" }), note);
}

// The partitions that took at least twice the median.
export function stragglersPanel(figures, open) {
  const { named, more } = figures.stragglers;
  if (named.length === 0) return null;
  const rows = named.map((one) => [
    h("button", { type: "button", class: "link", onclick: () => open(one.lane.index) }, one.lane.key),
    duration(one.time),
    h("span", { class: "straggler" }, `${times(one.timesMedian)} median`),
    one.open ? "and still runs" : one.cutOff ? "and was cut off" : "",
  ]);
  const rest = more > 0 ? h("p", { class: "muted" }, `and ${count(more)} more`) : null;
  return panel("Stragglers", {}, table(["partition", "#time", "over the median", ""], rows, { label: "stragglers" }), rest);
}

// Failed calls by slug, each with the first example.
export function failuresPanel(model) {
  const troubles = [...model.troubles.values()].sort((one, other) => other.count - one.count);
  if (troubles.length === 0) return null;
  const items = troubles.map((one) =>
    h("li", {}, [
      h("p", {}, [
        h("span", { class: "num" }, `${count(one.count)} × `), h("code", { class: "slug" }, one.kind),
        h("span", { class: "muted" }, " first at "), h("bdi", {}, one.place),
      ]),
      h("p", { class: "message" }, visible(one.example.message, 2000)),
      failureDetails(one.example),
    ]));
  return panel("Failures", { class: "panel wide" }, h("ul", { class: "plain" }, items));
}

// Lines that leaves wrote which succeeded.
export function writtenPanel(model, open) {
  const wrote = [...model.tries()].filter((one) => one.failure === null && (one.usage?.log ?? 0) > 0);
  if (wrote.length === 0) return null;
  const shown = wrote.filter((one) => one.log.length > 0).slice(0, MAX_WRITTEN);
  const items = shown.map((one) =>
    h("li", {}, h("button", { type: "button", class: "link", onclick: () => open(one.partition) }, model.lane(one.partition).key), logLines(one.log)));
  const more = wrote.length - shown.length;
  const rest = more > 0 ? h("p", { class: "muted" }, shown.length > 0 ? `and ${count(more)} more` : plural(more, "leaf wrote", "leaves wrote")) : null;
  return panel("Written by leaves that succeeded", { class: "panel wide written" }, h("ul", { class: "plain" }, items), rest);
}

function logLines(log) {
  return h("pre", { class: "log" }, log.map((line) => `${visibleLines(line)}\n`));
}

// What stands out.
export function lintsPanel(found, isOver) {
  const items = found.map((one) =>
    h("li", { class: `lint lint-${one.kind}` }, sign(one.kind === "warn" ? "warn" : "info"), h("div", {}, h("p", {}, one.text), h("p", { class: "muted" }, one.remedy))));
  const none = h("p", { class: "muted" }, isOver ? "Nothing stands out." : "Nothing stands out so far.");
  return panel("What stands out", { class: "panel lints" }, found.length > 0 ? h("ul", { class: "plain" }, items) : none);
}

// Everything about one partition: its attempts, what each used, and why those failed that did.
export function partitionPanel(model, index, close) {
  const lane = model.lanes.get(index);
  if (!lane) return null;
  const rows = lane.attempts.map((one) => [
    count(one.number), count(one.slot), duration(one.start - one.queued), duration(one.start), duration(timeOf(one)), duration(one.waited), fateWords(one),
    shareWords(one), one.fate === "open" ? "" : instanceWords(one), one.usage ? big(one.usage.fuel) : "", one.usage ? bytes(one.usage.memory) : "", one.usage ? bytes(one.usage.output) : "",
  ]);
  const failures = lane.attempts.filter((one) => one.failure).map((one) => [
    h("h3", {}, `attempt ${one.number}: `, h("code", { class: "slug" }, one.failure.kind)),
    h("p", { class: "message" }, visible(one.failure.message, 2000)),
    failureDetails(one.failure),
  ]);
  const logs = lane.attempts.filter((one) => one.log.length > 0).map((one) => [h("h3", {}, `attempt ${one.number}: log`), logLines(one.log)]);
  const state = lane.missing
    ? h("p", { class: "is-warn" }, `missing: ${lane.missing.status.replace("_", " ")}${lane.missing.slug ? ` (${lane.missing.slug})` : ""}`)
    : null;
  const weight = lane.weight === null ? null : h("p", { class: "muted" }, `weight ${count(lane.weight)}`);
  const heads = ["#attempt", "#slot", "#queued for", "#began at", "#took", "#of it waited", "and then", "units", "instance", "#fuel", "#memory", "#output"];
  const shut = h("button", { type: "button", class: "quiet close", "aria-label": "close the partition", onclick: close }, "close");
  return panel(`Partition ${lane.key}`, { class: "panel wide partition" }, shut, state, weight,
    rows.length > 0 ? table(heads, rows, { label: "attempts" }) : h("p", { class: "muted" }, "This partition never ran."), failures, logs);
}

// Puts what is there into `root`; what is not leaves no gap.
export function place(root, ...parts) {
  fill(root, parts.filter((part) => part));
}
