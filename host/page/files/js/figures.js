// Numbers over many attempts: quantiles, stragglers, how busy slots were; and which partitions of a long run to show.

import { count, share } from "./format.js";

// A partition that took this many times the median is a straggler, unless it took less than a millisecond.
const STRAGGLER_TIMES = 2;
const STRAGGLER_US = 1000;
const MAX_STRAGGLERS = 5;

// Up to so many partitions are all shown; of more, so many that failed and so many of the slowest.
const MAX_ALL = 40;
const MAX_EACH = 20;

// How long an attempt ran.
export function timeOf(attempt) {
  return Math.max(0, attempt.end - attempt.start);
}

// Quantiles by nearest rank: the p-quantile of n sorted values is the one at position ⌈p·n⌉, a value that did occur.
export function quantiles(values) {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const rank = (percent) => sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)];
  return { n: sorted.length, p50: rank(50), p90: rank(90), p99: rank(99), max: sorted[sorted.length - 1] };
}

// All that views show of a model beside its lanes, computed in one go.
export function figuresOf(model) {
  const succeeded = [];
  const waits = [];
  const waited = [];
  for (const one of model.tries()) {
    if (one.fate === "used" || one.fate === "discarded") succeeded.push(timeOf(one));
    waits.push(Math.max(0, one.start - one.queued));
    if (one.waited > 0) waited.push(one.waited);
  }
  const merges = model.folds.filter((fold) => fold.end !== null).map((fold) => fold.end - fold.start);
  const leaf = quantiles(succeeded);
  return {
    leaf,
    wait: quantiles(waits),
    waited: quantiles(waited),
    merge: quantiles(merges),
    median: leaf ? leaf.p50 : 0,
    stragglers: stragglers(model, leaf ? leaf.p50 : 0),
    slots: slots(model),
  };
}

// The slowest attempt of a lane that did not fail by itself.
function slowestOf(lane) {
  let slowest = null;
  for (const one of lane.attempts) {
    if (one.fate !== "failed" && (slowest === null || timeOf(one) >= timeOf(slowest))) slowest = one;
  }
  return slowest;
}

// How many times the median a lane took, if that makes it a straggler; else 0.
export function stragglerTimes(lane, median) {
  const slowest = slowestOf(lane);
  if (!slowest || median <= 0 || timeOf(slowest) < STRAGGLER_US) return 0;
  const factor = timeOf(slowest) / median;
  return factor >= STRAGGLER_TIMES ? factor : 0;
}

function stragglers(model, median) {
  const found = [];
  for (const lane of model.lanes.values()) {
    const factor = stragglerTimes(lane, median);
    if (factor === 0) continue;
    const slowest = slowestOf(lane);
    const cutOff = slowest.fate === "cut-off" || slowest.fate === "open";
    found.push({ lane, time: timeOf(slowest), timesMedian: factor, cutOff, open: slowest.fate === "open" && model.live });
  }
  found.sort((one, other) => other.time - one.time || one.lane.index - other.lane.index);
  return { named: found.slice(0, MAX_STRAGGLERS), more: Math.max(0, found.length - MAX_STRAGGLERS), all: found.length };
}

// How busy each slot was between the plan and the gather's end, without the time in which its attempts waited.
function slots(model) {
  const from = model.scattered();
  const to = model.gatherEnd ? model.gatherEnd.at : model.until();
  const window = Math.max(0, to - from);
  const slots = new Map();
  for (const one of model.tries()) {
    const slot = slots.get(one.slot) ?? { slot: one.slot, attempts: 0, warm: 0, busy: 0, share: 0 };
    slot.attempts += 1;
    slot.warm += one.earlier > 0 ? 1 : 0;
    slot.busy += Math.max(0, Math.min(one.end, to) - Math.max(one.start, from) - one.waited);
    slots.set(one.slot, slot);
  }
  const used = [...slots.values()].sort((one, other) => one.slot - other.slot);
  used.forEach((slot) => (slot.share = window === 0 ? 0 : share(Math.min(slot.busy, window), window)));
  return used;
}

// Missing, or without a success among its attempts.
export function hasFailed(lane) {
  const failed = (one) => one.fate === "failed" || one.fate === "cut-off";
  return lane.missing !== null || (lane.attempts.some(failed) && lane.attempts.every((one) => one.fate !== "used"));
}

function total(lane) {
  return lane.attempts.reduce((sum, one) => sum + timeOf(one), 0);
}

// The partitions to show: all of a short run, of a long one those that failed and the slowest, unless all are wanted.
export function sections(model, all) {
  const lanes = model.ordered();
  if (all || lanes.length <= MAX_ALL) {
    return [{ heading: null, lanes, more: all ? 0 : model.partitions() - lanes.length }];
  }
  const failed = lanes.filter(hasFailed);
  const others = lanes.filter((lane) => !hasFailed(lane));
  // Those that never ran have the least to show.
  failed.sort((one, other) => (one.attempts.length === 0) - (other.attempts.length === 0) || one.index - other.index);
  const time = new Map(others.map((lane) => [lane, total(lane)]));
  others.sort((one, other) => time.get(other) - time.get(one) || one.index - other.index);
  const shown = Math.min(failed.length, MAX_EACH) + Math.min(others.length, MAX_EACH);
  const heading = (what, some) => `${what}: ${Math.min(some.length, MAX_EACH)} of ${count(some.length)}`;
  const cut = (what, some, more) => ({ heading: heading(what, some), lanes: some.slice(0, MAX_EACH), more });
  return [
    cut("missing or failed", failed, 0),
    cut("slowest of the others", others, model.partitions() - shown),
  ].filter((section) => section.lanes.length > 0 || section.more > 0);
}
