// One query as its events tell it, by the rules of the terminal's model (host/cli/src/show/model). It takes events as they
// come and can be looked at in between; those that make no sense where they stand are counted as `odd`.

import { visible } from "./format.js";

const MAX_KEY = 120;
// So many failures are kept whole; of those after them only the kind and the message.
const MAX_WHOLE_FAILURES = 500;
// So many waits of an attempt are drawn.
const MAX_WAITS = 16;
// So many characters are kept of what leaves wrote that succeeded.
const MAX_LOGS = 1 << 18;

const CUT_OFF = ["cancelled", "out-of-time"];

export class Model {
  constructor() {
    this.head = null;
    this.planned = null;
    this.lanes = new Map();
    this.folds = [];
    this.gatherEnd = null;
    this.floorReached = null;
    this.held = [];
    this.finish = null;
    this.end = null;
    this.troubles = new Map();
    this.usage = { fuel: 0, memory: 0, output: 0, log: 0 };
    this.most = { fuel: 0, memory: 0, output: 0, log: 0 };
    this.last = 0;
    this.events = 0;
    this.missed = 0;
    this.odd = 0;
    this.attempts = 0;
    this.warm = 0;
    this.cuts = 0;
    this.waiting = 0;
    this.waited = 0;
    this.settled = 0;
    this.running = new Map();
    this.retries = new Map();
    this.folding = new Map();
    this.heldSince = null;
    this.wholeFailures = 0;
    this.logged = 0;
    this.live = false;
  }

  // Takes the next event.
  take(event) {
    this.events += 1;
    const at = Number(event.at) || 0;
    this.last = Math.max(this.last, at);
    const take = TAKES[event.event];
    if (take) take(this, event, at);
    else this.odd += 1;
  }

  // Gives what still runs the end that it has so far: the gather's, the query's, or the last moment heard of.
  close() {
    const stopped = this.gatherEnd !== null || this.end !== null;
    const close = this.gatherEnd ? this.gatherEnd.at : this.until();
    for (const attempt of this.running.values()) {
      attempt.end = Math.max(close, attempt.start);
      attempt.fate = stopped ? "cut-off" : "open";
    }
  }

  // It goes on after a stop: what ran then has ended with it.
  resume() {
    this.close();
    for (const attempt of this.running.values()) attempt.fate = "cut-off";
    this.running.clear();
    this.folding.clear();
    this.retries.clear();
    for (const fold of this.folds) fold.end ??= this.last;
    [this.gatherEnd, this.finish, this.end, this.heldSince] = [null, null, null, null];
    this.settled = 0;
    for (const lane of this.lanes.values()) {
      lane.missing = null;
      lane.settled = lane.used;
      this.settled += lane.used ? 1 : 0;
    }
  }

  // When the query ended, or the last moment heard of.
  until() {
    return this.end ? this.end.at : this.last;
  }

  // When the plan was ready: from then on partitions were queued.
  scattered() {
    return this.planned ? this.planned.at : 0;
  }

  // How many partitions there are, as far as is known.
  partitions() {
    return Math.max(this.planned ? this.planned.partitions : 0, this.lanes.size);
  }

  // The partitions that were heard of, in the order of the plan.
  ordered() {
    return [...this.lanes.values()].sort((one, other) => one.index - other.index);
  }

  // Every attempt.
  *tries() {
    for (const lane of this.lanes.values()) yield* lane.attempts;
  }

  lane(index, key) {
    let lane = this.lanes.get(index);
    if (!lane) {
      const name = key === undefined ? `partition ${index}` : visible(key, MAX_KEY);
      lane = { index, key: name, missing: null, weight: null, attempts: [], used: false, settled: false };
      this.lanes.set(index, lane);
    }
    return lane;
  }
}

const TAKES = {
  "query-started"(model, event) {
    if (model.head) model.odd += 1;
    model.head = {
      app: visible(event.app, MAX_KEY),
      query: visible(event.query, MAX_KEY),
      deadline: event.deadline,
      slots: event.slots,
      floor: event.floor,
      unixMs: event.unix_ms,
    };
  },
  planned(model, event, at) {
    if (model.planned) model.odd += 1;
    model.planned = {
      at,
      partitions: event.partitions,
      weight: event.weight,
      leafDeadline: event.leaf_deadline,
      gatherDeadline: event.gather_deadline,
    };
  },
  "attempt-started": attemptStarted,
  "attempt-ended": attemptEnded,
  "retry-scheduled"(model, event) {
    model.retries.set(`${event.partition}/${event.attempt}`, event.start);
  },
  "partition-missing"(model, event) {
    const lane = model.lane(event.partition, event.key);
    lane.missing = { status: event.status, slug: event.slug };
    settle(model, lane);
  },
  "fold-started"(model, event, at) {
    if (model.folding.has(event.fold)) model.odd += 1;
    const fold = { number: event.fold, start: at, end: null, inputs: event.inputs, bytes: event.bytes, failure: null };
    model.folding.set(event.fold, fold);
    model.folds.push(fold);
  },
  "fold-ended"(model, event, at) {
    const fold = model.folding.get(event.fold);
    model.folding.delete(event.fold);
    if (fold) {
      fold.end = Math.max(at, fold.start);
      fold.failure = event.failure ? event.failure.kind : null;
    } else model.odd += 1;
    if (event.failure) trouble(model, event.failure, `merge ${event.fold}`);
  },
  "floor-reached"(model, event, at) {
    model.floorReached ??= at;
  },
  held(model, event, at) {
    if (event.held && model.heldSince === null) model.heldSince = at;
    else if (!event.held && model.heldSince !== null) {
      model.held.push([model.heldSince, Math.max(at, model.heldSince)]);
      model.heldSince = null;
    }
  },
  "gather-ended"(model, event, at) {
    model.gatherEnd ??= { at, why: event.why };
  },
  "finish-started"(model, event, at) {
    model.finish ??= at;
  },
  "query-ended"(model, event, at) {
    if (model.end) model.odd += 1;
    model.end = { at, outcome: event.outcome, reason: event.reason, coverage: event.coverage };
    if (model.heldSince !== null) TAKES.held(model, { held: false }, at);
  },
};

function attemptStarted(model, event, at) {
  const id = `${event.partition}/${event.attempt}`;
  const lane = model.lane(event.partition, event.key);
  if (event.weight > 0) lane.weight = event.weight;
  // The rest of a running attempt waits for nothing before it is cut off.
  const queued = model.retries.get(id) ?? ((event.cut_from ?? event.copy_of) == null ? model.scattered() : at);
  model.retries.delete(id);
  if (model.running.has(id)) {
    model.odd += 1;
    return;
  }
  const attempt = {
    partition: event.partition,
    number: event.attempt,
    slot: event.slot,
    worker: event.worker ?? null,
    queued: Math.min(queued, at),
    start: at,
    end: at,
    fate: "open",
    failure: null,
    usage: null,
    earlier: 0,
    waited: 0,
    waits: [],
    log: [],
    units: event.units ?? null,
    cutFrom: event.cut_from ?? null,
  };
  if (attempt.cutFrom !== null) model.cuts += 1;
  model.running.set(id, attempt);
  model.attempts += 1;
  lane.attempts.push(attempt);
  const before = lane.attempts[lane.attempts.length - 2];
  if (before && before.start > at) lane.attempts.sort((one, other) => one.start - other.start || one.number - other.number);
}

function attemptEnded(model, event, at) {
  const id = `${event.partition}/${event.attempt}`;
  const lane = model.lane(event.partition);
  addUsage(model, event.usage);
  // Another attempt at the same units was done first.
  const isBeaten = event.beaten === true;
  const isWhole = !isBeaten && (!event.part || partDone(lane, event.part));
  const fate = isBeaten ? "discarded" : fateOf(model, lane, event.failure, event.part);
  const attempt = model.running.get(id);
  if (!attempt) {
    model.odd += 1;
    return;
  }
  model.running.delete(id);
  attempt.end = Math.max(at, attempt.start);
  attempt.fate = fate;
  attempt.usage = event.usage ?? null;
  attempt.earlier = event.earlier ?? 0;
  if (attempt.earlier > 0) model.warm += 1;
  addWaits(model, attempt, event);
  // What was left to it in the end, after all cuts.
  const part = event.part ?? null;
  attempt.units = part && (part.begin > 0 || part.end < part.of) ? [part.begin, part.end] : null;
  attempt.log = keptLog(model, event.log);
  if (isWhole && (fate === "used" || event.part)) settle(model, lane);
  if (event.failure && !isBeaten) {
    attempt.failure = kept(model, event.failure);
    trouble(model, event.failure, `${lane.key}, attempt ${event.attempt}`);
  }
}

// Takes the times without a slot, as far as they are within the attempt and in order.
function addWaits(model, attempt, event) {
  attempt.waited = Math.min(Number(event.waited) || 0, attempt.end - attempt.start);
  if (attempt.waited <= 0) return;
  let from = attempt.start;
  const clamp = (at) => Math.min(attempt.end, Math.max(from, Number(at) || 0));
  for (const [begin, end] of (event.waits ?? []).slice(0, MAX_WAITS)) {
    const wait = { from: clamp(begin), to: clamp(end) };
    if (wait.from >= wait.to) continue;
    attempt.waits.push(wait);
    from = wait.to;
  }
  model.waiting += 1;
  model.waited += attempt.waited;
}

// Adds what an attempt did of its part. True once nothing of the partition is left.
function partDone(lane, part) {
  lane.done = (lane.done ?? 0) + Math.max(part.done - part.begin, 0);
  return lane.done >= part.of;
}

function fateOf(model, lane, failure, part) {
  if (failure) return CUT_OFF.includes(failure.kind) ? "cut-off" : "failed";
  // Each part of a partition is used.
  if (model.gatherEnd === null && (!lane.used || part)) {
    lane.used = true;
    return "used";
  }
  return "discarded";
}

function settle(model, lane) {
  if (!lane.settled) model.settled += 1;
  lane.settled = true;
}

function kept(model, failure) {
  model.wholeFailures += 1;
  if (model.wholeFailures <= MAX_WHOLE_FAILURES) return failure;
  return { kind: failure.kind, message: visible(failure.message) };
}

function keptLog(model, log) {
  if (!Array.isArray(log) || log.length === 0) return [];
  model.logged += log.reduce((sum, line) => sum + line.length, 0);
  return model.logged <= MAX_LOGS ? log : [];
}

function addUsage(model, usage) {
  if (!usage) return;
  for (const name of ["fuel", "output", "log"]) model.usage[name] += usage[name] ?? 0;
  model.usage.memory = Math.max(model.usage.memory, usage.memory ?? 0);
  for (const name of Object.keys(model.most)) model.most[name] = Math.max(model.most[name], usage[name] ?? 0);
}

function trouble(model, failure, place) {
  const known = model.troubles.get(failure.kind);
  if (known) known.count += 1;
  else model.troubles.set(failure.kind, { kind: failure.kind, count: 1, place, example: failure });
}
