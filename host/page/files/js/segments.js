// A job's events on one axis of time. A job that was interrupted, or whose missing partitions were run again, has been a query
// several times: each segment counts its time from its own start.

export class Segments {
  // Feeds `model`.
  constructor(model) {
    this.model = model;
    this.began = null;
    this.shift = 0;
  }

  take(event) {
    if (event.event === "query-started" && this.began === null) this.began = event.unix_ms;
    else if (event.event === "query-started") return this.resume(event);
    // The plan is that of the first segment.
    if (event.event === "planned" && this.model.planned) return;
    const at = event.at + this.shift;
    const moved = { ...event, at };
    if (event.start !== undefined) moved.start = event.start + this.shift;
    if (event.waits !== undefined) moved.waits = event.waits.map((wait) => wait.map((moment) => moment + this.shift));
    this.model.take(moved);
  }

  // A clock that was set back must not let segments overlap.
  resume(event) {
    this.shift = Math.max(this.model.last, (event.unix_ms - this.began) * 1000);
    this.model.resume();
  }
}
