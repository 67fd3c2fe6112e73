// The time axis: which span is in view, where a moment stands in it, and the round moments that get a tick.

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
  }

  // Takes the span of the whole query; a view that was zoomed into stays where it is.
  fit(span) {
    this.span = Math.max(1, span) * ROOM;
    if (!this.zoomed) {
      this.from = 0;
      this.to = this.span;
    }
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
    this.fit(this.span / ROOM);
  }

  // Where a moment stands, in percent of the view.
  at(moment) {
    const place = ((moment - this.from) / (this.to - this.from)) * 100;
    return Math.min(100 + BEYOND, Math.max(-BEYOND, place));
  }

  // The left edge and the width of a time, or null when it is out of view.
  box(from, to) {
    if (to < this.from || from > this.to) return null;
    const left = this.at(from);
    return { left: `${left.toFixed(3)}%`, width: `${Math.max(0, this.at(to) - left).toFixed(3)}%` };
  }

  // Round moments, 1, 2 or 5 times a power of ten apart, at most `most` of them.
  ticks(most) {
    const least = (this.to - this.from) / Math.max(1, most);
    let power = 1;
    while (power * 10 < least) power *= 10;
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= least) ?? least;
    const ticks = [];
    for (let at = Math.ceil(this.from / step) * step; at <= this.to / (this.zoomed ? 1 : ROOM); at += step) {
      ticks.push({ at, label: at === 0 ? "0" : tickLabel(at, step) });
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
