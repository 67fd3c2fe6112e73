// The critical path: the chain of steps that made the query take as long as it did. Its steps follow each other without a
// gap, so that their shares add up to the whole. The same rules as the terminal's (host/cli/src/show/model/path.rs).

import { duration, plural } from "./format.js";
import { timeOf } from "./figures.js";

const MAX_FOLDS = 6;

class Path {
  constructor(end) {
    this.steps = [];
    this.now = 0;
    this.end = end;
  }

  step(kind, what, to, partition = null) {
    const until = Math.min(to, this.end);
    if (until > this.now) {
      this.steps.push({ kind, what, from: this.now, to: until, partition });
      this.now = until;
    }
  }
}

// The steps; none when nothing took any time.
export function criticalPath(model) {
  const path = new Path(model.until());
  if (model.planned) {
    path.step("plan", "plan", model.planned.at);
    gatherSteps(model, path);
    mergeSteps(model, path);
  } else {
    path.step("plan", "plan, not finished", path.end);
  }
  path.step("answer", model.end ? "answer" : "until the recording stops", path.end);
  return path.steps;
}

// The attempt that the gather's end waited for, or still waits for: when it ended because time was up, the one that had
// been running longest; otherwise the last to end.
export function lastWaitedFor(model) {
  const end = model.gatherEnd ? model.gatherEnd.at : model.until();
  let longest = null;
  let last = null;
  for (const one of model.tries()) {
    if (one.start > end) continue;
    const cutOff = one.fate === "cut-off" || one.fate === "open";
    if (cutOff && (!longest || before([one.start, one.partition], [longest.start, longest.partition]))) longest = one;
    if (one.end <= end && (!last || !before([one.end, timeOf(one)], [last.end, timeOf(last)]))) last = one;
  }
  const timeUp = !model.gatherEnd || ["deadline", "wait-over", "cancelled"].includes(model.gatherEnd.why);
  return timeUp ? longest ?? last : last;
}

function before(one, other) {
  return one[0] < other[0] || (one[0] === other[0] && one[1] < other[1]);
}

function gatherSteps(model, path) {
  const gatherEnd = model.gatherEnd ? model.gatherEnd.at : path.end;
  const last = lastWaitedFor(model);
  if (last) {
    const lane = model.lanes.get(last.partition);
    for (const one of lane.attempts.filter((one) => one.number <= last.number)) {
      if (one.number > 1) path.step("wait", `pause before ${lane.key} is tried again`, one.queued, lane.index);
      path.step("wait", `${lane.key} waits for a slot`, one.start, lane.index);
      path.step("run", runOf(lane.key, one), Math.min(one.end, gatherEnd), lane.index);
    }
  }
  const why = {
    deadline: "gather waits until its deadline",
    "wait-over": "gather waits for more than the floor",
    "merge-failed": "a merge runs, and fails",
  };
  path.step("wait", model.gatherEnd ? why[model.gatherEnd.why] ?? "gather ends" : "gather, not finished", gatherEnd);
}

function mergeSteps(model, path) {
  if (!model.gatherEnd) return;
  const folds = [...model.folds].sort((one, other) => one.start - other.start || one.number - other.number);
  const after = folds.filter((fold) => fold.end === null || fold.end > path.now);
  for (const [index, fold] of after.entries()) {
    if (index === MAX_FOLDS) {
      const last = after.reduce((end, one) => Math.max(end, one.end ?? 0), 0);
      path.step("merge", plural(after.length - index, "more merge", "more merges"), last);
      break;
    }
    path.step("wait", "merge waits", fold.start);
    const what = `merge ${fold.number} of ${plural(fold.inputs, "partial", "partials")}`;
    // One whose end was not told ran until nothing more was told, unless the finish shows otherwise.
    path.step("merge", what, fold.end ?? (model.finish === null ? path.end : path.now));
  }
  if (model.finish !== null) {
    path.step("wait", "merge waits", model.finish);
    path.step("merge", "finish", path.end);
  }
}

function runOf(key, one) {
  const waits = one.waited > 0 ? `, of which it waits ${duration(one.waited)}` : "";
  const again = `${one.number > 1 ? `, attempt ${one.number}` : ""}${waits}`;
  if (one.fate === "failed") return `${key} runs${again}, and fails: ${one.failure ? one.failure.kind : "unknown"}`;
  if (one.fate === "cut-off") return `${key} runs${again}, and is cut off`;
  return one.fate === "open" ? `${key} runs${again}, still` : `${key} runs${again}`;
}
