// A query as its events come in: batches them by the frame, and keeps the waterfall and the panels up to date. The page
// feeds it from the server, the self-contained file from a recording.

import { fill, h } from "./dom.js";
import { Model } from "./model.js";
import { figuresOf } from "./figures.js";
import { criticalPath } from "./path.js";
import { lints } from "./lints.js";
import { plural, visible } from "./format.js";
import { failuresPanel, lintsPanel, partitionPanel, pathPanel, place, slotsPanel, stragglersPanel, timesPanel, writtenPanel } from "./parts.js";
import { coverageBar, missingTable, progressBar } from "./verdict.js";
import { Waterfall } from "./waterfall.js";

// A frame's share for events, in milliseconds: what is left waits for the next frame.
const BUDGET = 8;
const BATCH = 200;
// The least time between two drawings of a running query; figures of a long one cost more, and are drawn less often.
const EVERY = 60;
const CALM = 500;

export class Run {
  // `chosen` has what the URL says, and whether it is a job's: then pauses are cut out, and the account stands elsewhere.
  // `reader` takes the events for the model; `on.change` hears what to write there, `on.head` draws what stands above.
  constructor(on, chosen, reader = (model) => model) {
    this.on = on;
    this.model = new Model();
    this.queue = [];
    this.taken = 0;
    this.app = null;
    this.reason = null;
    this.live = false;
    this.reader = reader(this.model);
    this.clock = null;
    this.drawnAt = 0;
    this.cost = 0;
    this.selected = chosen.partition;
    this.waterfall = new Waterfall({ select: (index) => this.select(index), all: () => this.changed() }, chosen);
    this.notes = h("div", { class: "notes" });
    this.coverage = h("div", { hidden: chosen.pauses ?? false });
    this.top = h("div", { class: "panels" });
    this.partition = h("div", {});
    this.below = h("div", { class: "below" });
    const chart = h("section", { class: "panel wide", "aria-label": "Waterfall" }, h("h2", {}, "Waterfall"), this.waterfall.element);
    this.element = h("div", { class: "run" }, this.notes, this.coverage, this.top, chart, this.partition, this.below);
    this.reduced = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = requestAnimationFrame(() => this.tick());
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
  }

  // Takes events to be drawn with the next frame.
  push(events) {
    for (const event of events) this.queue.push(event);
  }

  // No more events come: what is known is drawn once more.
  close() {
    this.live = false;
    this.model.live = false;
    this.dirty = true;
  }

  // Lets clocks run on while nothing is heard.
  open() {
    this.live = true;
    this.model.live = true;
  }

  tick() {
    const took = this.drain();
    const now = performance.now();
    const running = this.live && this.model.head && !this.model.end;
    const pause = Math.max(this.reduced.matches ? CALM : EVERY, this.cost * 4);
    const due = took > 0 || this.dirty || running;
    // While a recording is read in, some of it is drawn now and then; its end always is.
    if (due && (now - this.drawnAt >= pause || (!running && this.queue.length === this.taken && now - this.drawnAt >= EVERY))) {
      this.advance(now);
      this.draw();
      this.drawnAt = performance.now();
      this.cost = this.drawnAt - now;
      this.dirty = false;
    } else if (took > 0) this.dirty = true;
    if (this.frame !== null) this.frame = requestAnimationFrame(() => this.tick());
  }

  drain() {
    const start = performance.now();
    const before = this.taken;
    while (this.taken < this.queue.length && performance.now() - start < BUDGET) {
      const end = Math.min(this.queue.length, this.taken + BATCH);
      for (; this.taken < end; this.taken += 1) this.reader.take(this.queue[this.taken]);
    }
    const took = this.taken - before;
    if (this.taken > 10_000 || this.taken === this.queue.length) {
      this.queue.splice(0, this.taken);
      this.taken = 0;
    }
    return took;
  }

  // The query's time now, by this machine's clock: the earliest that the events so far allow.
  advance(now) {
    const { model } = this;
    if (!this.live || !model.head || model.end) return;
    const start = now - model.last / 1000;
    this.clock = this.clock === null ? start : Math.min(this.clock, start);
    model.last = Math.max(model.last, Math.round((now - this.clock) * 1000));
  }

  draw() {
    const { model } = this;
    model.close();
    const figures = figuresOf(model);
    const path = criticalPath(model);
    this.on.head(model);
    this.waterfall.update(model, figures, path);
    this.drawNotes();
    const open = (index) => this.choose(index);
    const coverage = model.end ? model.end.coverage : null;
    const missing = [...model.lanes.values()].filter((lane) => lane.missing).length;
    fill(this.coverage, coverage ? coverageBar(coverage) : progressBar(model.settled, model.planned ? model.partitions() : 0, missing));
    const lost = coverage ? missingTable(coverage, open) : null;
    const missingPanel = lost ? h("section", { class: "panel", "aria-label": "Missing partitions" }, h("h2", {}, "Missing partitions"), lost) : null;
    place(this.top, missingPanel, lintsPanel(lints(model, figures, path, this.app), model.end !== null));
    place(this.below, pathPanel(path, model.until()), timesPanel(figures), stragglersPanel(figures, open), slotsPanel(model, figures), failuresPanel(model),
      writtenPanel(model, open));
    if (this.selected !== null) this.drawPartition();
  }

  drawNotes() {
    const { model } = this;
    const notes = [];
    if (model.odd > 0) notes.push(`${plural(model.odd, "event is", "events are")} inconsistent with the rest of the recording`);
    if (model.missed > 0) notes.push(`${plural(model.missed, "event was", "events were")} dropped: the drawing is incomplete`);
    notes.push(...(model.end?.coverage?.notes ?? []).map((note) => visible(note, 1000)));
    fill(this.notes, notes.map((note) => h("p", { class: "is-warn" }, `note: ${note}`)));
  }

  choose(index) {
    this.waterfall.selected = index;
    this.select(index);
    this.dirty = true;
    this.partition.scrollIntoView({ block: "nearest" });
  }

  select(index) {
    this.selected = index;
    this.drawPartition();
    this.changed();
  }

  drawPartition() {
    const close = () => {
      this.waterfall.selected = null;
      this.select(null);
      this.waterfall.scroller.focus();
    };
    fill(this.partition, this.selected === null ? null : partitionPanel(this.model, this.selected, close));
  }

  changed() {
    this.dirty = true;
    this.on.change({ partition: this.selected, all: this.waterfall.all ? "1" : null });
  }
}

// What a URL's parameters choose.
export function chosenOf(params) {
  const partition = params.get("partition");
  return { partition: partition !== null && /^\d+$/.test(partition) ? Number(partition) : null, all: params.has("all") };
}
