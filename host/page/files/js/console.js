// The console: a query, its deadline and floor; the answer beside its coverage, while it comes and when it is there.

import { get, messages, request } from "./api.js";
import { answerView } from "./answer.js";
import { apiPath, asCli, asCurl, jobPath } from "./commands.js";
import { copyButton, facts, fill, h, notice, panel } from "./dom.js";
import { duration, reasonWords, visible, visibleLines } from "./format.js";
import { href, note } from "./router.js";
import { coverageBar, failureDetails, headline, missingTable, noteList, outcomeBadge, progressBar, reasonBlock, timeFacts } from "./verdict.js";

// Shows the console; returns what ends it.
export function consoleView(root, { rest: [wanted], params }) {
  const console = new Console(wanted, params);
  fill(root, h("h1", { tabindex: "-1" }, "Console"), console.element);
  console.load(wanted);
  return () => console.stop();
}

class Console {
  constructor(wanted, params) {
    this.abort = new AbortController();
    this.asking = null;
    this.apps = [];
    this.given = params.has("body");
    this.build(params);
  }

  build(params) {
    const field = (id, label, input, hint) => h("div", { class: "field" }, h("label", { for: id }, label), input, hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null);
    this.app = h("select", { id: "app", onchange: () => this.turnTo(this.app.value) });
    this.examples = h("select", { id: "example", onchange: () => this.takeExample() });
    this.exampleField = field("example", "Example", this.examples);
    this.body = h("textarea", { id: "body", rows: "8", spellcheck: "false", autocapitalize: "off", value: params.get("body") ?? "" });
    this.deadline = h("input", { id: "deadline", spellcheck: "false", value: params.get("deadline") ?? "", "aria-describedby": "deadline-hint" });
    this.floor = h("input", { id: "floor", spellcheck: "false", value: params.get("floor") ?? "", list: "floors", "aria-describedby": "floor-hint" });
    this.require = h("input", { id: "require", spellcheck: "false", value: params.getAll("require").join(", "), "aria-describedby": "require-hint" });
    this.ask = h("button", { class: "primary", title: "Ctrl and Enter" }, "Ask");
    this.cancel = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.asking?.abort() }, "cancel");
    const floors = h("datalist", { id: "floors" }, ["all", "best-effort", "0.8"].map((value) => h("option", { value })));
    this.form = h("form", { class: "panel ask", "aria-label": "query" }, [
      h("div", { class: "fields" }, field("app", "App", this.app), this.exampleField),
      field("body", "Query", this.body),
      h("div", { class: "fields" }, [
        field("deadline", "Deadline", this.deadline, "such as 500ms or 2s; empty: the app's"),
        field("floor", "Floor", this.floor, "all, best-effort, or a share such as 0.8"),
        field("require", "Required partitions", this.require, "keys, with commas between them"),
      ]),
      floors,
      h("div", { class: "actions" }, this.ask, this.cancel, h("button", { type: "button", class: "quiet", id: "as-job", title: "the job continues when this page is closed", onclick: () => this.submit() }, "run as a job"), copyButton("copy as curl", () => asCurl(this.values())), copyButton("copy as CLI", () => asCli(this.values()))),
    ]);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.run();
      }
    });
    this.form.addEventListener("input", () => this.remember());
    this.result = h("div", { class: "result" }, h("p", { class: "muted placeholder" }, "The answer appears here, beside its coverage."));
    this.element = h("div", { class: "console" }, this.form, this.result);
  }

  values() {
    const keys = this.require.value.split(",").map((key) => key.trim()).filter((key) => key !== "");
    return { app: this.app.value, body: this.body.value, deadline: this.deadline.value.trim(), floor: this.floor.value.trim(), require: keys };
  }

  remember() {
    const { app, body, deadline, floor, require } = this.values();
    if (app) note(["console", app], { body, deadline, floor, require });
  }

  async load(wanted) {
    try {
      const { apps } = await get("v1/apps", this.abort.signal);
      this.apps = apps;
      fill(this.app, apps.map((app) => h("option", { value: app.name }, visible(app.name, 60))));
      if (apps.some((app) => app.name === wanted)) this.app.value = wanted;
      else if (wanted !== undefined) fill(this.result, notice("bad", `There is no app ${visible(wanted, 60)}.`));
      if (apps.length === 0) fill(this.result, notice("info", "No apps", h("p", {}, "This server serves no apps.")));
      this.ask.disabled = apps.length === 0;
      this.turnTo(this.app.value);
    } catch (error) {
      if (!this.abort.signal.aborted) this.problem(error);
    }
  }

  turnTo(name) {
    const app = this.apps.find((one) => one.name === name);
    if (!app) return;
    const examples = app.examples ?? [];
    this.exampleField.hidden = examples.length === 0;
    fill(this.examples, h("option", { value: "" }, "choose…"), examples.map((one, index) => h("option", { value: String(index) }, visible(one.name, 80))));
    this.deadline.placeholder = app.deadline_ms === null ? "" : duration(app.deadline_ms * 1000).replace(" ", "");
    this.floor.placeholder = String(app.floor?.["at-least"] ?? app.floor ?? "");
    if (!this.given && this.body.value === "" && examples.length > 0) this.body.value = examples[0].query;
    this.remember();
  }

  takeExample() {
    const app = this.apps.find((one) => one.name === this.app.value);
    const example = app?.examples?.[Number(this.examples.value)];
    if (this.examples.value === "" || !example) return;
    this.body.value = example.query;
    this.remember();
  }

  async run() {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.cancel.hidden = false;
    this.state = { id: null, settled: 0, planned: 0, missing: 0, partial: null };
    this.progress();
    try {
      const values = this.values();
      const options = { method: "POST", body: values.body, signal: asking.signal, headers: { "Content-Type": "application/octet-stream" } };
      let over = false;
      for await (const found of messages(apiPath(values), options)) {
        for (const one of found) over = this.take(one.event, JSON.parse(one.data)) || over;
        if (!over) this.progress();
      }
      if (!over) this.problem({ message: "the connection broke off before the answer" });
    } catch (error) {
      if (this.asking !== asking) return;
      if (asking.signal.aborted) fill(this.result, notice("info", "Cancelled", this.link()));
      else this.problem(error);
    } finally {
      if (this.asking === asking) this.cancel.hidden = true;
    }
  }

  // Hands the query over as a job, and turns to it.
  submit() {
    const values = this.values();
    const options = { method: "POST", body: values.body, headers: { "Content-Type": "application/octet-stream" } };
    request(jobPath(values), options).then((reply) => reply.json()).then((job) => {
      location.hash = href(["jobs", job.id]);
    }).catch((error) => this.problem(error));
  }

  // Takes one message; true for the last.
  take(event, data) {
    if (event === "query") this.state.id = data.query;
    if (event === "progress") Object.assign(this.state, data.partitions);
    if (event === "partial") this.state.partial = data;
    if (event === "answer") this.answer(data);
    if (event === "problem") this.problem({ message: data.title, ...data });
    return event === "answer" || event === "problem";
  }

  link() {
    const id = this.state?.id;
    return id ? h("p", {}, h("a", { href: href(["queries", id]) }, "its waterfall")) : null;
  }

  progress() {
    const { settled, planned, missing, partial } = this.state;
    const so = partial ? panel("Answer so far", {}, answerView(partial.answer, { partial: true })) : null;
    fill(this.result, h("div", { class: "panel" }, h("p", { class: "badges" }, outcomeBadge(null), this.link()), progressBar(settled, planned, missing)), so);
  }

  answer(envelope) {
    const { outcome, coverage, answer, reason, failure, laws } = envelope;
    const app = this.apps.find((one) => one.name === this.app.value);
    const verdict = panel("Coverage", {}, [
      h("p", { class: "badges" }, outcomeBadge(outcome, coverage), this.link()),
      h("p", { class: "verdict", role: "status" }, headline(coverage)),
      reason ? reasonBlock(failure ? { reason, failure } : reason) : null,
      coverageBar(coverage),
      missingTable(coverage, null),
      noteList(coverage),
      facts([...timeFacts(coverage), ["laws", laws ?? null]]),
    ]);
    const none = h("p", { class: "muted" }, "There is no answer.");
    const given = answer === null || answer === undefined ? none : answerView(answer, { type: app?.content_type ?? undefined, name: `${app?.name ?? "app"}.answer` });
    fill(this.result, verdict, panel("Answer", {}, given));
  }

  problem(error) {
    const { coverage, slug, failure } = error;
    if (error.query && this.state) this.state.id = error.query;
    const title = [slug ? h("code", { class: "slug" }, visible(slug)) : null, " ", error.reason ? reasonWords(error.reason) : visible(error.message)];
    const detail = error.detail ? h("pre", { class: "message" }, visibleLines(error.detail)) : null;
    const account = coverage ? panel("Coverage", {}, outcomeBadge("failed", coverage), h("p", { class: "verdict" }, headline(coverage)), coverageBar(coverage), missingTable(coverage, null), noteList(coverage), facts(timeFacts(coverage))) : null;
    fill(this.result, notice("bad", title, detail, failure ? failureDetails(failure) : null, this.link()), account);
  }

  // A query goes on when people turn to its waterfall: the server would end one whose client is gone.
  stop() {
    this.abort.abort();
  }
}
