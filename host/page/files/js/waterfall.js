// Every partition on one time axis. Only the rows in sight are in the document, so that 10,000 are as quick as ten.

import { fill, h } from "./dom.js";
import { Axis, deadlinesOf, pausesOf, spanOf } from "./axis.js";
import { sections } from "./figures.js";
import { count, duration, plural } from "./format.js";
import { laneBars, laneNote, otherRows, overlaps, pathBars } from "./lane.js";

// As in the style sheet: a row's height, and from which width on labels stand above their bars.
const ROW = 26;
const NARROW_ROW = 44;
const NARROW = 700;
const BEFORE_AND_AFTER = 6;

// The first of a list, and how many more there are.
function some(words) {
  return words.length > 3 ? `${words.slice(0, 3).join(", ")} and ${plural(words.length - 3, "more pause", "more pauses")}` : words.join(", ");
}

export class Waterfall {
  // `on` is told of what people choose: `select(partition or null)`, `all(true or false)`. Pauses are cut out if `chosen.pauses`
  // says so.
  constructor(on, chosen = {}) {
    this.on = on;
    this.axis = new Axis();
    this.all = chosen.all ?? false;
    this.cutting = chosen.pauses ?? false;
    this.selected = chosen.partition ?? null;
    this.items = [];
    this.active = -1;
    this.model = null;
    this.build();
  }

  build() {
    this.ruler = h("div", { class: "wf-plot wf-ruler" });
    this.pathRow = h("div", { class: "wf-plot" });
    this.pathNote = h("div", { class: "wf-note" });
    const head = h("div", { class: "wf-head", "aria-hidden": "true" }, [
      h("div", { class: "wf-row wf-axis" }, h("div", { class: "wf-label" }), this.ruler, h("div", { class: "wf-note" })),
      h("div", { class: "wf-row" }, h("div", { class: "wf-label" }, "critical path"), this.pathRow, this.pathNote),
    ]);
    this.grid = h("div", { class: "wf-grid", "aria-hidden": "true" });
    this.rows = h("div", { class: "wf-rows", role: "rowgroup" });
    this.body = h("div", { class: "wf-body", onclick: (event) => this.clicked(event) }, this.grid, this.rows);
    this.foot = h("div", { class: "wf-foot", role: "rowgroup" });
    this.scroller = h(
      "div",
      {
        class: "wf-scroll",
        tabindex: "0",
        role: "grid",
        "aria-label": "waterfall of partitions: arrow keys move, Enter shows one, plus and minus zoom, 0 shows all of the time",
        onscroll: () => this.drawRows(),
        onkeydown: (event) => this.key(event),
        onwheel: (event) => this.wheel(event),
      },
      head, this.body, this.foot,
    );
    this.head = head;
    this.toggle = h("button", { type: "button", class: "quiet", onclick: () => this.setAll(!this.all) });
    this.legend = h("p", { class: "wf-legend" });
    this.element = h("div", { class: "wf" }, this.tools(), this.scroller, this.legend);
    new ResizeObserver(() => this.model && this.draw()).observe(this.scroller);
  }

  tools() {
    const zoom = (label, text, act) =>
      h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: () => { act(); this.draw(); } }, text);
    return h("div", { class: "wf-tools" }, this.toggle, h("div", { class: "group", role: "group", "aria-label": "zoom" }, [
      zoom("zoom out", "−", () => this.axis.zoom(2)),
      zoom("zoom in", "+", () => this.axis.zoom(0.5)),
      zoom("earlier", "←", () => this.axis.pan(-0.25)),
      zoom("later", "→", () => this.axis.pan(0.25)),
      zoom("the whole time", "fit", () => this.axis.reset()),
    ]));
  }

  // Takes the model with the figures and the critical path computed of it, and draws.
  update(model, figures, path) {
    this.model = model;
    this.median = figures.median;
    this.leaf = figures.leaf;
    this.path = path;
    this.critical = new Set(path.filter((step) => step.kind === "run").map((step) => step.partition));
    this.axis.fit(spanOf(model), this.cutting ? pausesOf(model) : []);
    const found = sections(model, this.all);
    const active = this.items?.[this.active];
    this.items = found.flatMap(({ heading, lanes, more }) => [
      ...(heading ? [{ heading }] : []),
      ...lanes.map((lane) => ({ lane })),
      ...(more > 0 ? [{ more: `and ${count(more)} more` }] : []),
    ]);
    // The row with the focus of the keyboard keeps it while more rows arrive.
    const at = active?.lane ? active.lane.index : this.selected;
    this.active = this.items.findIndex((item) => item.lane && item.lane.index === at);
    const folded = model.lanes.size > 40;
    this.toggle.hidden = !folded;
    this.toggle.textContent = this.all ? "show only failed and slowest" : `show all ${count(model.lanes.size)} partitions`;
    this.draw();
  }

  draw() {
    const width = this.scroller.clientWidth;
    this.rowHeight = width > 0 && width < NARROW ? NARROW_ROW : ROW;
    this.element.classList.toggle("wf-narrow", this.rowHeight === NARROW_ROW);
    this.body.style.setProperty("height", `${Math.max(1, this.items.length) * this.rowHeight}px`);
    this.scroller.setAttribute("aria-rowcount", String(this.items.length));
    this.drawAxis();
    const longest = this.path.reduce((most, step) => (most && most.to - most.from >= step.to - step.from ? most : step), null);
    fill(this.pathRow, pathBars(this.path, this.axis));
    fill(this.pathNote, longest ? `mostly: ${longest.what}` : "");
    this.pathNote.title = longest ? longest.what : "";
    fill(this.foot, otherRows(this.model, this.axis, this.leaf).map((row) => this.row(row.label, row.bars, row.note)));
    this.drawLegend();
    this.drawRows();
  }

  drawAxis() {
    const plot = this.ruler.clientWidth || 600;
    const ticks = this.axis.ticks(Math.max(2, Math.floor(plot / 90)));
    const place = (at) => ({ left: `${this.axis.at(at).toFixed(3)}%` });
    fill(this.ruler, ticks.map(({ at, label }) => h("span", { class: "tick", style: place(at) }, label)));
    const lines = deadlinesOf(this.model).filter(({ at }) => this.axis.shows(at));
    const pauses = this.axis.cuts.filter(({ to }) => this.axis.shows(to));
    const pause = ({ from, to }) => h("span", { class: "line line-pause", style: place(to), title: `nothing ran for ${duration(to - from)}` });
    const now = this.model.live && !this.model.end ? h("span", { class: "line line-now", style: place(this.model.until()) }) : null;
    fill(this.grid, [
      ticks.map(({ at }) => h("span", { class: "line", style: place(at) })),
      pauses.map(pause),
      lines.map(({ kind, at }) => h("span", { class: `line line-${kind}`, style: place(at), title: `${kind} deadline` })),
      now,
    ]);
    fill(this.ruler, [...this.ruler.childNodes], lines.map(({ kind, at }) => h("span", { class: `flag flag-${kind}`, style: place(at) })));
  }

  drawLegend() {
    const key = (kind, words) => h("span", { class: "key" }, h("span", { class: `bar bar-${kind}` }), words);
    const hedged = this.items.some((item) => item.lane && overlaps(item.lane.attempts));
    const deadlines = deadlinesOf(this.model);
    const list = (some) => some.map(({ kind, at }) => `${kind} ${duration(at)}`).join(", ");
    const drawn = deadlines.filter(({ at }) => this.axis.left(at) <= this.axis.span);
    const beyond = deadlines.filter(({ at }) => this.axis.left(at) > this.axis.span);
    const pauses = this.axis.cuts.map(({ from, to }) => duration(to - from));
    fill(this.legend, [
      key("queued", "queued"), key("used", "ran"), this.model.waited > 0 ? key("waiting", "waiting without a slot") : null, key("cut-off", "cut off"), key("discarded", "result not used"),
      key("failed", "failed"), key("critical", "critical path"),
      hedged ? h("span", { class: "key" }, "a thin second bar: another attempt at the same time") : null,
      drawn.length > 0 ? h("span", { class: "key" }, h("span", { class: "line-key" }), `deadline: ${list(drawn)}`) : null,
      pauses.length > 0 ? h("span", { class: "key" }, h("span", { class: "pause-key" }), `cut out, as nothing ran: ${some(pauses)}`) : null,
      beyond.length > 0 ? h("span", { class: "key" }, `deadline beyond the axis: ${list(beyond)}`) : null,
    ]);
  }

  // The rows in sight, and some around them.
  drawRows() {
    if (!this.model) return;
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.rowHeight) - BEFORE_AND_AFTER);
    const inSight = Math.ceil((this.scroller.clientHeight || 600) / this.rowHeight) + 2 * BEFORE_AND_AFTER;
    const rows = this.items.slice(first, first + inSight).map((item, place) => this.itemRow(item, first + place));
    fill(this.rows, rows);
    const active = this.active >= first && this.active < first + inSight ? `wf-row-${this.active}` : "";
    if (active) this.scroller.setAttribute("aria-activedescendant", active);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  itemRow(item, index) {
    const style = { top: `${index * this.rowHeight}px` };
    const common = { style, role: "row", "aria-rowindex": index + 1, id: `wf-row-${index}` };
    if (!item.lane) {
      return h("div", { ...common, class: "wf-row wf-words" }, h("div", { role: "gridcell" }, item.heading ?? item.more));
    }
    const { lane } = item;
    const critical = this.critical.has(lane.index);
    const row = this.row(
      [critical ? h("span", { class: "diamond", title: "on the critical path" }, "◆ ") : null, lane.key],
      laneBars(this.model, lane, this.axis, critical),
      laneNote(this.model, lane, this.median),
      lane.key,
    );
    for (const [name, value] of Object.entries(common)) if (name !== "style") row.setAttribute(name, String(value));
    row.style.setProperty("top", style.top);
    row.setAttribute("aria-selected", String(lane.index === this.selected));
    row.classList.toggle("wf-active", index === this.active);
    return row;
  }

  row(label, bars, note, title) {
    return h("div", { class: "wf-row", role: "row" }, [
      h("div", { class: "wf-label", role: "rowheader", title }, h("bdi", {}, label)),
      h("div", { class: "wf-plot", role: "gridcell" }, bars),
      h("div", { class: "wf-note", role: "gridcell" }, note),
    ]);
  }

  setAll(all) {
    this.all = all;
    this.scroller.scrollTop = 0;
    this.on.all(all);
  }

  clicked(event) {
    const index = Math.floor((event.clientY - this.body.getBoundingClientRect().top) / this.rowHeight);
    this.choose(index);
  }

  choose(index) {
    const item = this.items[index];
    if (!item || !item.lane) return;
    this.active = index;
    this.selected = this.selected === item.lane.index ? null : item.lane.index;
    this.drawRows();
    this.on.select(this.selected);
  }

  // Brings the active row into sight, between the head and the foot.
  reveal() {
    const view = this.scroller.clientHeight - this.head.offsetHeight - this.foot.offsetHeight;
    const top = this.active * this.rowHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowHeight > this.scroller.scrollTop + view) this.scroller.scrollTop = top + this.rowHeight - view;
    this.drawRows();
  }

  move(step) {
    const to = Math.min(this.items.length - 1, Math.max(0, this.active + step));
    const towards = Math.sign(step) || 1;
    let found = to;
    while (this.items[found] && !this.items[found].lane) found += towards;
    if (this.items[found]) this.active = found;
    this.reveal();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / this.rowHeight) - 4);
    const acts = {
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      PageDown: () => this.move(page),
      PageUp: () => this.move(-page),
      Home: () => this.move(-this.items.length),
      End: () => this.move(this.items.length),
      Enter: () => this.choose(this.active),
      " ": () => this.choose(this.active),
      ArrowLeft: () => this.axis.pan(-0.25),
      ArrowRight: () => this.axis.pan(0.25),
      "+": () => this.axis.zoom(0.5),
      "=": () => this.axis.zoom(0.5),
      "-": () => this.axis.zoom(2),
      0: () => this.axis.reset(),
      a: () => this.toggle.hidden || this.setAll(!this.all),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    this.draw();
  }

  wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = this.ruler.getBoundingClientRect();
    this.axis.zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    this.draw();
  }
}
