// The time axis: which span is in view, where a moment stands in it, and the round moments that get a tick. Stretches in which
// nothing happened can be cut out: `from`, `to` and `span` are then of the time that is left.

import { duration } from "./format.js";

// The axis ends a little after the query does, so that what happens last is seen.
const ROOM = 1.008;
// What is off the view is drawn this far beyond its edge, in percent: browsers dislike boxes of a million pixels.
const BEYOND = 5;

export class Axis {
  constructor() {
    this.span = 1;
    this.from = 0;
    this.to = 1;
    this.zoomed = false;
    this.cuts = [];
  }

  // Takes the span of the whole query, and the times to cut out of it, in order; a view that was zoomed into stays where it is.
  fit(span, cuts = []) {
    this.cuts = cuts;
    this.widen(this.left(Math.max(1, span)) * ROOM);
  }

  widen(span) {
    this.span = span;
    if (!this.zoomed) {
      this.from = 0;
      this.to = this.span;
    }
  }

  // What is left of the time up to a moment without what is cut out of it.
  left(moment) {
    let cut = 0;
    for (const { from, to } of this.cuts) {
      if (moment <= from) break;
      cut += Math.min(moment, to) - from;
    }
    return moment - cut;
  }

  // The moment up to which so much is left.
  moment(left) {
    let moment = left;
    for (const { from, to } of this.cuts) {
      if (moment < from) break;
      moment += to - from;
    }
    return moment;
  }

  // Narrows (factor below 1) or widens the view about a place in it, 0 to 1.
  zoom(factor, about = 0.5) {
    const width = Math.min(this.span, Math.max(20, (this.to - this.from) * factor));
    const centre = this.from + (this.to - this.from) * about;
    this.show(centre - width * about, centre - width * about + width);
  }

  // Moves the view by a share of its width.
  pan(part) {
    const width = this.to - this.from;
    this.show(this.from + width * part, this.to + width * part);
  }

  // Shows a part of the query, kept within it.
  show(from, to) {
    const width = Math.min(to - from, this.span);
    this.from = Math.min(Math.max(0, from), this.span - width);
    this.to = this.from + width;
    this.zoomed = width < this.span;
  }

  reset() {
    this.zoomed = false;
    this.widen(this.span);
  }

  // Where a moment stands, in percent of the view.
  at(moment) {
    const place = ((this.left(moment) - this.from) / (this.to - this.from)) * 100;
    return Math.min(100 + BEYOND, Math.max(-BEYOND, place));
  }

  // The left edge and the width of a time, or null when it is out of view.
  box(from, to) {
    if (this.left(to) < this.from || this.left(from) > this.to) return null;
    const left = this.at(from);
    return { left: `${left.toFixed(3)}%`, width: `${Math.max(0, this.at(to) - left).toFixed(3)}%` };
  }

  // True for a moment that is in view.
  shows(moment) {
    const left = this.left(moment);
    return left >= this.from && left <= this.to;
  }

  // Round moments, 1, 2 or 5 times a power of ten apart, at most `most` of them.
  ticks(most) {
    const least = (this.to - this.from) / Math.max(1, most);
    let power = 1;
    while (power * 10 < least) power *= 10;
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= least) ?? least;
    const ticks = [];
    for (let at = Math.ceil(this.from / step) * step; at <= this.to / (this.zoomed ? 1 : ROOM); at += step) {
      const moment = this.moment(at);
      ticks.push({ at: moment, label: moment === 0 ? "0" : tickLabel(moment, step) });
    }
    return ticks;
  }
}

// A tick's time without digits that the step does not have.
function tickLabel(at, step) {
  if (at >= 1e6 && at < 6e7 && step >= 1e4) return `${Number((at / 1e6).toFixed(2))} s`;
  if (at >= 1e3 && at < 1e6 && step >= 100) return `${Number((at / 1e3).toFixed(1))} ms`;
  return duration(at);
}

// A pause is cut out from a second on, if it is at least this share of the time in which something happened.
const PAUSE_US = 1e6;
const PAUSE_SHARE = 0.02;

// The pauses of a long run: times in which nothing ran, of partitions or merges.
export function pausesOf(model) {
  const until = model.until();
  const runs = [...model.tries()].map(({ start, end }) => [start, end]);
  const folds = model.folds.map((fold) => [fold.start, fold.end ?? fold.start]);
  const finish = model.finish === null ? [] : [[model.finish, until]];
  const busy = [[0, model.scattered()], ...runs, ...folds, ...finish].sort((one, other) => one[0] - other[0]);
  const gaps = [];
  let [last, worked] = [0, 0];
  for (const [from, to] of busy) {
    if (from > last) gaps.push({ from: last, to: from });
    worked += Math.max(0, to - Math.max(from, last));
    last = Math.max(last, to);
  }
  // What runs still has no end: the last pause is none yet.
  if (model.end && until > last) gaps.push({ from: last, to: until });
  const least = Math.max(PAUSE_US, worked * PAUSE_SHARE);
  return gaps.filter(({ from, to }) => to - from >= least).map(({ from, to }) => ({ from, to: to - least / 2 }));
}

// The whole span to draw: to the query's end, or to its deadline when that is close. While it runs, the axis grows in steps.
export function spanOf(model) {
  const until = Math.max(1, model.until(), model.last);
  const deadline = model.head ? model.head.deadline : 0;
  if (deadline && deadline / 5 <= until / 4) return Math.max(until, deadline);
  if (model.end || !model.live) return until;
  let step = 1000;
  for (const factors = [2, 2.5, 2]; step < until * 1.05; factors.push(factors.shift())) step *= factors[0];
  return deadline ? Math.min(step, deadline) : step;
}

// The deadlines of a query: when leaves are cut off, when the gather ends, when the answer is due.
export function deadlinesOf(model) {
  const deadlines = [];
  if (model.planned) {
    deadlines.push({ kind: "leaf", at: model.planned.leafDeadline });
    deadlines.push({ kind: "gather", at: model.planned.gatherDeadline });
  }
  if (model.head) deadlines.push({ kind: "query", at: model.head.deadline });
  return deadlines;
}
