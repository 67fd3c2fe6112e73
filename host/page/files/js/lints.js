// What stands out about one query, and what might be done about it. Each lint is a kind, a sentence and a remedy.

import { big, bytes, count, duration, percent, plural, times } from "./format.js";
import { lastWaitedFor } from "./path.js";
import { stragglerTimes, timeOf } from "./figures.js";

const CLOSE = 0.9;
const MOST = 0.4;
const TINY_US = 50;

// The lints of a model, with its figures and critical path; `app` brings the limits, when they are known.
export function lints(model, figures, path, app) {
  const found = [];
  const add = (kind, text, remedy) => found.push({ kind, text, remedy });
  const total = model.until();
  if (model.planned && total > 0) {
    timeLints(model, figures, path, total, add);
    shapeLints(model, figures, add);
  }
  limitLints(model, app, add);
  endLints(model, total, add);
  lawLints(app, add);
  return found;
}

function sum(path, kinds) {
  return path.filter((step) => kinds.includes(step.kind)).reduce((time, step) => time + step.to - step.from, 0);
}

function timeLints(model, figures, path, total, add) {
  const last = lastWaitedFor(model);
  const lane = last && model.lanes.get(last.partition);
  const factor = lane ? stragglerTimes(lane, figures.median) : 0;
  if (factor > 0 && timeOf(last) / total >= MOST) {
    const part = percent(timeOf(last) / total);
    add("warn", `straggler: ${lane.key} ran ${duration(timeOf(last))}, ${times(factor)} median, ${part} of the query's time`,
      "cut this partition finer, or set a floor that the query reaches without it");
  }
  const merging = sum(path, ["merge"]);
  if (merging / total >= MOST && merging >= 1000) {
    add("warn", `the merge is the critical path: ${percent(merging / total)} of the time after leaves were done`,
      "return smaller partials, or make the merge cheaper");
  }
  const plan = model.planned.at;
  if (plan / total >= MOST && plan >= 1000) {
    add("warn", `planning took ${duration(plan)}, ${percent(plan / total)} of the query's time`, "list fewer files, or plan with a split component");
  }
  const waits = path.filter((step) => step.what.endsWith("waits for a slot")).reduce((time, step) => time + step.to - step.from, 0);
  const declared = Math.max(model.head ? model.head.slots : 0, figures.slots.length, 1);
  const busy = figures.slots.reduce((share, slot) => share + slot.share, 0) / declared;
  if (waits / total >= 0.5 && busy >= 0.7) {
    add("info", `slots were the limit: ${percent(busy)} busy, and the last partition waited ${duration(waits)} for a slot`,
      "more slots help where there are cores for them");
  }
}

function shapeLints(model, figures, add) {
  const partitions = model.partitions();
  const slots = model.head ? model.head.slots : 0;
  if (partitions === 1) {
    add("info", "one partition: nothing ran side by side", "cut the source finer (piece-size, step, or more entries)");
  } else if (partitions > 0 && partitions < slots) {
    add("info", `${plural(partitions, "partition", "partitions")} for ${count(slots)} slots: some had nothing to do`, "cut the source finer");
  }
  const heaviest = [...model.lanes.values()].reduce((most, lane) => (lane.weight > (most?.weight ?? 0) ? lane : most), null);
  if (heaviest && partitions >= 4 && heaviest.weight / model.planned.weight >= 0.5) {
    add("info", `partitions are uneven: ${heaviest.key} has ${percent(heaviest.weight / model.planned.weight)} of the weight`, "cut the source finer");
  }
  if (figures.leaf && figures.leaf.n >= 100 && figures.median < TINY_US) {
    add("info", `leaves are tiny: the median call took ${duration(figures.median)}`, "cut the source coarser: each call has a fixed cost");
  }
}

function limitLints(model, app, add) {
  const limits = app && app.limits ? app.limits.leaf : null;
  if (!limits) return;
  const near = [
    ["fuel", limits.fuel, big],
    ["memory", limits.memory, bytes],
    ["output", limits.output, bytes],
    ["log", limits.log, bytes],
  ];
  for (const [name, limit, words] of near) {
    const most = model.most[name];
    if (limit > 0 && most >= limit * CLOSE) {
      add("warn", `${name} within 10 % of its limit: a leaf used ${words(most)} of ${words(limit)}`, `raise limits.leaf.${name} in frond.toml, or do less a call`);
    }
  }
}

function endLints(model, total, add) {
  const deadline = model.head ? model.head.deadline : 0;
  if (model.end && deadline > 0 && total < deadline && total / deadline >= CLOSE) {
    add("warn", `answered with ${percent(1 - total / deadline)} of the deadline left`, "a slower run would miss partitions");
  }
  const held = model.held.reduce((time, [from, to]) => time + to - from, 0);
  if (held > 0) add("warn", `leaves were held back for ${duration(held)}, for the memory of partials`, "return smaller partials");
  const coverage = model.end ? model.end.coverage : null;
  if (!coverage) return;
  const { retries } = coverage.attempts;
  if (retries > 0) add("info", `${plural(retries, "attempt was", "attempts were")} made again`, "see failures for the first of each kind");
  const { leaf_used: used, leaf_wasted: wasted } = coverage.timings;
  if (wasted > 1 && wasted / (used + wasted) >= 0.3) {
    add("warn", `${percent(wasted / (used + wasted))} of the slots' time went into attempts that are not in the answer`, "see failures, and the partitions that were cut off");
  }
  const { failed, planned } = coverage.partitions;
  if (planned > 1 && failed === planned) add("warn", "every partition failed: the plugin or the query is at fault, not the data", "try one partition with `frond test`");
}

function lawLints(app, add) {
  if (app && app.laws === "broken") add("warn", "the app breaks a law of merging: answers may depend on the order of partials", "run `frond test` for the counter-example");
  if (app && app.laws === "unchecked") add("info", "the laws of merging are unchecked for this app", "run `frond test`");
}
