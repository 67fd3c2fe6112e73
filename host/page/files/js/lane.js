// The rows of the waterfall: a partition's attempts, the critical path, the merges.

import { h } from "./dom.js";
import { count, duration, plural, statusWords, times } from "./format.js";
import { stragglerTimes, timeOf } from "./figures.js";

const MAX_ATTEMPTS = 64;
const MAX_ROWS = 3;

const FATES = {
  used: "ran",
  failed: "failed",
  "cut-off": "cut off",
  discarded: "result not used",
  open: "still running",
};

// What came of an attempt, in words.
export function fateWords(attempt) {
  return attempt.failure && attempt.fate === "failed" ? attempt.failure.kind : FATES[attempt.fate];
}

// How many calls of the query its instance had served before, in words.
export function instanceWords(attempt) {
  return attempt.earlier > 0 ? `warm, after ${plural(attempt.earlier, "call", "calls")}` : "fresh";
}

// Which units of its partition an attempt had, and which attempt they were cut off from.
export function shareWords(attempt) {
  if (!attempt.units) return "";
  const from = attempt.cutFrom === null ? "" : `, cut from attempt ${attempt.cutFrom}`;
  return `${count(attempt.units[0])} to ${count(attempt.units[1])}${from}`;
}

function bar(axis, kind, from, to, title) {
  const box = axis.box(from, to);
  return box && h("span", { class: `bar bar-${kind}`, style: box, title });
}

function workerWords(attempt) {
  return attempt.worker ? ` on the worker ${attempt.worker}` : "";
}

function waitWords(attempt) {
  return attempt.waited > 0 ? `, of which it waited ${duration(attempt.waited)} without a slot` : "";
}

// The bars of an attempt: one, or thin lines where it waited between its runs. Only the last run ends as the attempt did.
function runBars(axis, one, words) {
  const bars = [];
  let from = one.start;
  for (const wait of one.waits) {
    const kind = one.fate === "failed" ? "used" : one.fate;
    if (wait.from > from) bars.push(bar(axis, kind, from, wait.from, words));
    bars.push(bar(axis, "waiting", wait.from, wait.to, `waits without a slot for ${duration(wait.to - wait.from)}`));
    from = wait.to;
  }
  bars.push(bar(axis, one.fate, from, one.end, words));
  return bars.filter((one) => one);
}

// True when two attempts ran at the same time.
export function overlaps(attempts) {
  return attempts.some((one, index) => index > 0 && one.start < attempts[index - 1].end);
}

// Attempts that overlap in time go on rows of their own: the first is the lane's, the others are drawn thin below it.
function pack(attempts) {
  const rows = [];
  for (const one of attempts.slice(0, MAX_ATTEMPTS)) {
    let row = rows.find((row) => row[row.length - 1].end <= one.start);
    if (!row && rows.length < MAX_ROWS) rows.push((row = []));
    (row ?? rows[rows.length - 1]).push(one);
  }
  return rows;
}

// A partition's bars.
export function laneBars(model, lane, axis, critical) {
  const bars = [];
  pack(lane.attempts).forEach((row, depth) => {
    for (const one of row) {
      const queued = bar(axis, "queued", one.queued, one.start, `queued ${duration(one.start - one.queued)}`);
      if (depth === 0 && one.start > one.queued) bars.push(queued);
      const warm = one.earlier > 0 ? `, instance ${instanceWords(one)}` : "";
      const share = one.units ? `, units ${shareWords(one)}` : "";
      const words = `attempt ${one.number}: ${fateWords(one)} after ${duration(timeOf(one))}${workerWords(one)}${waitWords(one)}${warm}${share}`;
      for (const ran of runBars(axis, one, words)) {
        if (depth > 0) ran.classList.add("bar-thin", `bar-thin-${depth}`);
        if (critical && !ran.classList.contains("bar-waiting")) ran.classList.add("bar-critical");
        bars.push(ran);
      }
    }
  });
  if (lane.attempts.length === 0 && lane.missing) {
    const until = model.gatherEnd ? model.gatherEnd.at : model.until();
    bars.push(bar(axis, "queued", model.scattered(), until, "queued, never started"));
  }
  return bars;
}

// What stands beside a partition's bars: how long it took, what became of it, whether it is a straggler.
export function laneNote(model, lane, median) {
  const parts = [];
  const slowest = lane.attempts.reduce((most, one) => (most && timeOf(most) > timeOf(one) ? most : one), null);
  if (slowest) parts.push(h("span", { class: "num" }, duration(timeOf(slowest))));
  const last = lane.attempts[lane.attempts.length - 1];
  if (lane.missing) {
    const failed = lane.missing.status === "failed" && lane.missing.slug;
    parts.push(h("span", { class: failed ? "is-bad" : "is-warn" }, failed ? lane.missing.slug : statusWords(lane.missing.status)));
  } else if (last && last.fate === "open") {
    parts.push(h("span", { class: "is-busy" }, "running"));
  } else if (last && last.fate === "failed") {
    parts.push(h("span", { class: "is-bad" }, fateWords(last)));
  }
  // The first call of an instance has what the later ones are spared, such as a compiled pattern.
  if (model.warm > 0 && slowest && slowest.fate !== "open" && slowest.earlier === 0) parts.push(h("span", {}, "fresh"));
  const factor = last && last.fate === "failed" ? 0 : stragglerTimes(lane, median);
  if (factor > 0) parts.push(h("span", { class: "straggler" }, `${times(factor)} median`));
  if (slowest && slowest.waited > 0) parts.push(h("span", {}, `${duration(slowest.waited)} waited`));
  if (lane.attempts.length > 1) parts.push(h("span", {}, plural(lane.attempts.length, "attempt", "attempts")));
  const cuts = lane.attempts.filter((one) => one.cutFrom !== null).length;
  if (cuts > 0) parts.push(h("span", {}, plural(cuts, "cut", "cuts")));
  return parts;
}

// The critical path as a strip of its own, one box a step.
export function pathBars(steps, axis) {
  return steps.map((step, index) => {
    const box = axis.box(step.from, step.to);
    const words = `${step.what}: ${duration(step.to - step.from)}`;
    return box && h("span", { class: `step step-${step.kind} step-${index % 2}`, style: box, title: words });
  });
}

// Times that stand closer than can be seen, joined: a long run has thousands of merges.
function joined(spans, axis) {
  const least = (axis.to - axis.from) / 1500;
  const rows = [];
  for (const one of [...spans].sort((a, b) => a.from - b.from)) {
    const last = rows[rows.length - 1];
    if (last && last.kind === one.kind && one.from - last.to < least) {
      last.to = Math.max(last.to, one.to);
      last.number += 1;
    } else rows.push({ ...one, number: 1 });
  }
  return rows;
}

// The merges; one that failed, or whose end was not told, is drawn as such.
export function mergeBars(model, axis) {
  const until = model.until();
  const kind = (fold) => (fold.failure ? "failed" : fold.end === null ? "open" : "merge");
  const spans = model.folds.map((fold) => ({ from: fold.start, to: fold.end ?? until, kind: kind(fold) }));
  return joined(spans, axis).map((one) => bar(axis, one.kind, one.from, one.to, plural(one.number, "merge", "merges")));
}

// How long leaves took, as numbers: a length has no place on an axis of moments.
function quantileRow(leaf) {
  const names = [["p50", leaf.p50], ["p90", leaf.p90], ["p99", leaf.p99], ["max", leaf.max]];
  const words = names.map(([name, time]) => [`${name} `, h("b", { class: "num" }, duration(time))]);
  const bars = h("span", { class: "quantiles", title: "quantiles by nearest rank" }, words);
  return { label: "leaf times", bars, note: `of ${count(leaf.n)} that succeeded` };
}

// The rows that are not partitions: what they are called, their bars, and what stands beside them.
export function otherRows(model, axis, leaf) {
  const rows = leaf ? [quantileRow(leaf)] : [];
  const until = model.until();
  const held = model.heldSince === null ? model.held : [...model.held, [model.heldSince, until]];
  if (held.length > 0) {
    const spans = held.map(([from, to]) => ({ from, to, kind: "cut-off" }));
    const bars = joined(spans, axis).map((one) => bar(axis, one.kind, one.from, one.to, "leaves held back for memory"));
    rows.push({ label: "held back", bars, note: "for memory" });
  }
  if (model.folds.length > 0) {
    rows.push({ label: "merge", bars: mergeBars(model, axis), note: plural(model.folds.length, "merge", "merges") });
  }
  if (model.finish !== null) {
    const time = duration(until - model.finish);
    rows.push({ label: "finish", bars: [bar(axis, "merge", model.finish, until, `finish ${time}`)], note: time });
  }
  return rows;
}
