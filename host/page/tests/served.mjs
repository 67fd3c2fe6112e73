// The page of a running server: node served.mjs URL [URL-OF-ONE-WITH-A-TOKEN TOKEN [URL-OF-ONE-WITH-WORKERS]]. It serves the
// apps `rail`, `faulty`, `wordcount`, whose input is compressed, and `pi`, which is cut into 10,000 partitions. The last server
// has two worker processes.

import { check, fits, NARROW, runAll, same, test, texts, until } from "./browser.mjs";

const [base, guarded, token, crewed] = process.argv.slice(2);
const RAIL = '{"from":"London","budget":60}';
const STALLED = '{"from":"London","budget":60,"stall":"Scotland"}';
const SLOW = JSON.stringify({ query: {}, partitions: ["ok-1", "sleep-ms:300", "sleep-ms:2500", "trap"].map((key) => ({ key, data: "" })) });

const hash = (path, params = {}) => `${base}#/${path}${Object.keys(params).length > 0 ? `?${new URLSearchParams(params)}` : ""}`;

async function console_(page, app, params) {
  await page.goto(hash(`console/${app}`, params));
  await until("the apps", async () => (await page.$$("#app option")).length > 0);
}

// Asks in the console, and waits for what comes of it.
async function ask(page, app, params) {
  await console_(page, app, params);
  await page.click(".ask .primary");
  await until("an end", () => page.$(".result .panel[aria-label=Coverage], .result .notice-bad"));
}

// Asks without waiting for the end; gives the query's id.
async function begin(page, app, body, params = {}) {
  await console_(page, app, { body, ...params });
  await page.click(".ask .primary");
  const link = await until("the query", () => page.$(".result a[href^='#/queries/']"));
  return (await link.getAttribute("href")).slice("#/queries/".length);
}

async function openQuery(page, id) {
  await page.goto(hash(`queries/${id}`));
  await until("the waterfall", () => page.$(".wf-rows .wf-row"));
}

test("apps stand with their health, limits, plugins and laws", async (page) => {
  await page.goto(base);
  await until("the apps", () => page.$(".card"));
  const cards = await texts(page, ".card");
  check(cards.some((text) => text.startsWith("rail serving laws ")), cards.join(" | "));
  await page.click(".card h2 a:text-is('rail')");
  await until("the app", () => page.$("section[aria-label=Limits]"));
  check((await texts(page, "section[aria-label=Limits] tr")).some((text) => text.startsWith("fuel ")), "limits");
  check((await texts(page, "section[aria-label=Plugins] tr")).some((text) => /^leaf [0-9a-f]{12} /.test(text)), "plugins");
});

test("the console answers, with the coverage beside the answer", async (page) => {
  await ask(page, "rail", { body: RAIL });
  same(await texts(page, ".result .badge"), ["complete"], "the badge");
  check((await texts(page, ".result .verdict"))[0]?.startsWith("5 of 5 partitions, in "), "the verdict");
  check((await texts(page, ".result .code"))[0]?.includes('"destinations"'), "the answer");
});

test("a partial answer says what is missing", async (page) => {
  await ask(page, "rail", { body: STALLED, floor: "0.55" });
  check(/^partial 4 of 5, .* by weight$/.test((await texts(page, ".result .badge"))[0]), "the badge");
  check((await texts(page, ".missing tbody tr"))[0]?.startsWith("Scotland timed out out-of-time"), "the missing partition");
});

test("a query below its floor has no answer, but an account", async (page) => {
  await ask(page, "rail", { body: STALLED, floor: "0.99", deadline: "400ms" });
  check((await texts(page, ".result")).join(" ").includes("too little arrived to answer"), "it says why");
  check((await texts(page, ".result .missing tbody tr"))[0]?.startsWith("Scotland "), "the missing partition");
});

test("a bad query is refused in the plugin's own words", async (page) => {
  await ask(page, "rail", { body: '{"from":"Nowhere","budget":60}' });
  const [result] = await texts(page, ".result");
  check(result.includes("invalid-query") && result.includes("Nowhere"), result);
});

test("a bad deadline is refused with what to write instead", async (page) => {
  await ask(page, "rail", { body: RAIL, deadline: "soon" });
  const [notice] = await texts(page, ".result .notice-bad");
  check(notice.includes("deadline"), notice);
});

test("a query is asked again by curl and by the command line", async (page, context) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await console_(page, "rail", { body: "{\"from\":\"King's Lynn\"}", deadline: "500ms", floor: "0.8", require: "Scotland" });
  const copied = async (label) => {
    await page.click(`.ask button:text-is('${label}')`);
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const curl = await copied("copy as curl");
  check(curl.startsWith("curl ") && curl.includes("/v1/apps/rail/query?deadline=500ms&floor=0.8&require=Scotland"), curl);
  same(await copied("copy as CLI"), `frond query --deadline='500ms' --floor='0.8' --require='Scotland' -- 'rail' '{"from":"King'\\''s Lynn"}'`, "the command");
});

test("the waterfall moves while a query runs, and ends with it", async (page) => {
  const id = await begin(page, "faulty", SLOW, { deadline: "6s" });
  await openQuery(page, id);
  await until("a running leaf", () => page.$(".bar-open"));
  same(await texts(page, ".query-title .badge"), ["running"], "the badge while it runs");
  const [before] = await texts(page, ".query-head .verdict");
  await until("its clock", async () => (await texts(page, ".query-head .verdict"))[0] !== before);
  await until("the end", async () => (await texts(page, ".query-title .badge"))[0]?.startsWith("partial 3 of 4"));
  check(!(await page.$(".bar-open")) && (await page.$(".bar-failed")), "what ran has ended, what failed is marked");
  await until("the answer", () => page.$("section[aria-label=Answer] .code"));
});

test("a running query is cancelled, and answers with what is there", async (page) => {
  const id = await begin(page, "faulty", SLOW, { deadline: "20s" });
  await openQuery(page, id);
  await page.click("button:text-is('cancel')");
  await until("the end", async () => /^(partial|failed)/.test((await texts(page, ".query-title .badge"))[0]));
  check((await texts(page, ".coverage-key")).join(" ").includes("cancelled"), "what was cancelled is counted");
});

test("a stream of events that is over is not asked for again", async (page) => {
  const id = await begin(page, "rail", RAIL);
  const path = `/v1/queries/${id}`;
  await until("its end", async () => (await (await fetch(new URL(path, base))).json()).state !== "running");
  const asked = [];
  page.on("response", (response) => asked.push(`${response.status()} ${new URL(response.url()).pathname}`));
  const follows = () => asked.filter((one) => one.endsWith(`${path}/events`));
  const shown = async () => {
    await page.goto(base);
    await openQuery(page, id);
    // Once the stream is over, the query itself is asked for again.
    await until("the query again", () => asked.filter((one) => one.endsWith(path)).length >= 2);
  };
  await shown();
  same(follows(), [`200 ${path}/events`], "requests when the end is heard");
  // The end is known, but not taken for one: only the server's 204 says that nothing more comes.
  await page.route(`**${path}/events`, async (route) => {
    const response = await route.fetch();
    const body = await response.text();
    await route.fulfill({ response, body: body.replace(/^event: ?query-ended$/m, "event: other") });
  });
  asked.length = 0;
  await shown();
  same(follows(), [`200 ${path}/events`, `204 ${path}/events`], "requests when it is not");
  await until("the end", async () => (await texts(page, ".query-title .badge"))[0] === "complete");
  check(!(await texts(page, ".notice")).some((text) => text.includes("connection is lost")), "nothing is lost");
});

test("a remark on an input stands by the answer and by a job", async (page) => {
  const remark = "`text.gz`: compressed (gzip), and given to leaves as it is (decompress it first)";
  await ask(page, "wordcount", { body: '{"top":1}' });
  same(await texts(page, ".result .notes li"), [remark], "beside the answer");
  const id = await submitted(page, "wordcount", '{"top":1}');
  await page.goto(hash(`jobs/${id}`));
  await jobIs(page, "succeeded");
  same(await texts(page, "section[aria-label=Coverage] .notes li"), [remark], "with the job");
});

test("the list of queries follows what happens", async (page, context) => {
  await page.goto(hash("queries"));
  await until("the list", () => page.$(".queries, .notice"));
  const id = await begin(await context.newPage(), "faulty", SLOW, { deadline: "6s" });
  const state = async () => (await texts(page, `tr[data-id="${id}"] .badge`))[0];
  await until("the query in the list", async () => (await state()) === "running");
  await until("its end", async () => (await state()) === "partial");
  await page.selectOption("#filter-outcome", "failed");
  check(!(await page.$(`tr[data-id="${id}"]`)), "the filter leaves it out");
  check(page.url().endsWith("outcome=failed"), page.url());
});

test("each view comes back by its URL", async (page) => {
  await ask(page, "rail", { body: STALLED, floor: "0.55" });
  const link = await page.getAttribute(".result a[href^='#/queries/']", "href");
  await page.goto(`${base}${link}?partition=3`);
  await until("the partition", async () => (await texts(page, ".partition h2"))[0] === "Partition Scotland");
  await page.reload();
  await until("the partition again", async () => (await texts(page, ".partition h2"))[0] === "Partition Scotland");
  await page.goBack();
  await until("the console", () => page.$("#body"));
  same(await page.inputValue("#body"), STALLED, "what was asked");
});

test("10,000 partitions arrive, and few are in the document", async (page) => {
  const id = await begin(page, "pi", '{"seed":1}', { deadline: "60s" });
  await openQuery(page, id);
  await until("the end", async () => (await texts(page, ".query-title .badge"))[0] === "complete");
  const labels = await texts(page, ".wf-rows .wf-label");
  check(labels.length < 100, `${labels.length} rows are in the document`);
  check((await texts(page, ".query-head .verdict"))[0]?.startsWith("10,000 of 10,000 partitions"), "the verdict");
});

test("everything comes from the server itself, under its policy", async (page, context) => {
  const foreign = [];
  context.on("request", (request) => new URL(request.url()).origin === new URL(base).origin || foreign.push(request.url()));
  const response = await page.goto(base);
  check((response.headers()["content-security-policy"] ?? "").includes("default-src 'self'"), "the policy");
  for (const view of ["apps/rail", "console/rail", "queries", "workers"]) {
    await page.goto(hash(view));
    await until(view, () => page.$("h1"));
  }
  same(foreign, [], "requests elsewhere");
});

test("the keyboard is enough to ask and to look", async (page) => {
  await page.goto(hash("console/rail"));
  await until("the apps", async () => (await page.$$("#app option")).length > 0);
  await page.fill("#body", STALLED);
  await page.fill("#floor", "0.55");
  await page.keyboard.press("Control+Enter");
  await until("the answer", () => page.$(".result .missing"));
  await page.focus(".result a[href^='#/queries/']");
  await page.keyboard.press("Enter");
  await until("the end", async () => (await texts(page, ".query-title .badge"))[0]?.startsWith("partial 4 of 5"));
  await until("the waterfall", async () => (await texts(page, ".wf-row")).some((row) => row.startsWith("finish")));
  await page.focus(".wf-scroll");
  await page.keyboard.press("End");
  await until("the last row", async () => (await texts(page, ".wf-active"))[0]?.includes("Southern"));
  for (const key of ["ArrowUp", "Enter"]) await page.keyboard.press(key);
  await until("the partition", async () => (await texts(page, ".partition h2"))[0] === "Partition Scotland");
});

// Submits a job; gives its id.
async function submitted(page, app, body, params = "") {
  await page.goto(base);
  return page.evaluate(async ([path, text]) => (await (await fetch(path, { method: "POST", body: text })).json()).id, [`v1/apps/${app}/jobs${params}`, body]);
}

const jobIs = (page, word) => until(`the job ${word}`, async () => (await texts(page, ".query-title .badge"))[0]?.startsWith(word));
const byKeys = (keys) => JSON.stringify({ query: {}, partitions: keys.map((key) => ({ key, data: "" })) });

test("a query is run as a job, listed, and its result shown", async (page) => {
  await console_(page, "rail", { body: RAIL });
  await page.click("#as-job");
  await jobIs(page, "succeeded");
  check((await texts(page, ".query-head .verdict"))[0]?.startsWith("5 of 5 partitions"), "the progress");
  await until("its waterfall", async () => (await texts(page, ".wf-rows .wf-label")).length === 5);
  await page.click("button:text-is('result')");
  await until("the result", async () => (await texts(page, "section[aria-label=Result] .code"))[0]?.includes('"destinations"'));
  const id = page.url().split("/").pop();
  await page.goto(hash("jobs", { state: "succeeded", app: "rail" }));
  const row = await until("its row", () => page.$(`tr[data-id="${id}"]`));
  check((await row.innerText()).includes("succeeded"), "its state");
  await page.fill("#filter-app", "nobody");
  await page.keyboard.press("Enter");
  await until("no job", async () => (await texts(page, ".notice"))[0]?.startsWith("No job fits"));
});

test("a job is looked at while it runs, cancelled, and what is missing run again", async (page) => {
  const long = await submitted(page, "faulty", byKeys(["ok-1", "sleep"]), "?floor=best-effort");
  await page.goto(hash(`jobs/${long}`));
  await jobIs(page, "running");
  await until("one of two", async () => (await texts(page, ".query-head .verdict"))[0]?.startsWith("1 of 2"));
  await page.click("button:text-is('result so far')");
  await until("the partial", () => page.$("section[aria-label='Result so far'] .code"));
  await page.click("button:text-is('cancel')");
  await page.click("button:text-is('really? there will be no result')");
  await jobIs(page, "cancelled");
  const partial = await submitted(page, "faulty", byKeys(["ok-1", "trap"]), "?floor=best-effort");
  await page.goto(hash(`jobs/${partial}`));
  await jobIs(page, "partial");
  check((await texts(page, "section[aria-label=Coverage] .missing tbody tr"))[0]?.startsWith("trap "), "what is missing");
  // The page hears of its second turn only when that is over.
  await page.route("**/redrive", async (route) => {
    const response = await route.fetch();
    const job = async () => (await fetch(new URL(`v1/jobs/${partial}`, base))).json();
    await until("the second turn's end", async () => ((found) => found.epoch === 2 && found.state === "partial")(await job()));
    await route.fulfill({ response });
  });
  await page.click("button:text-is('run the missing partitions')");
  await page.click("button:has-text('really run')");
  await until("another turn", async () => (await texts(page, "section[aria-label=Progress] dd")).some((text) => text.startsWith("2 times")));
  await jobIs(page, "partial");
  const tries = async () => (await texts(page, ".wf-rows .wf-row")).find((row) => row.includes("trap"));
  await until("both segments in the waterfall", async () => /\d+ attempts/.test(await tries()));
});

test("the time for which a job was interrupted is cut out of its waterfall", async (page) => {
  await page.goto(base);
  const found = await page.evaluate(async () => {
    const [{ Model }, { Segments }, { Axis, pausesOf, spanOf }] = await Promise.all(["model", "segments", "axis"].map((name) => import(`/page/js/${name}.js`)));
    const model = new Model();
    const segments = new Segments(model);
    const started = (unix) => ({ event: "query-started", at: 0, app: "a", query: "q", deadline: 1e12, slots: 1, floor: "all", unix_ms: unix });
    const planned = { event: "planned", at: 10, partitions: 3, weight: 3, leaf_deadline: 1e12, gather_deadline: 1e12 };
    const begins = (partition, at) => ({ event: "attempt-started", at, partition, attempt: 1, slot: 0, key: `p${partition}`, weight: 1 });
    const ends = (partition, at) => ({ event: "attempt-ended", at, partition, attempt: 1, failure: null, usage: null });
    const events = [started(1000), planned, begins(0, 10), ends(0, 4e6), begins(1, 4e6), started(3_601_000), planned, begins(1, 20), ends(1, 5e6), begins(2, 5e6), ends(2, 6e6)];
    for (const event of events) segments.take(event);
    model.close();
    const axis = new Axis();
    axis.fit(spanOf(model), pausesOf(model));
    const fates = model.ordered().map((lane) => lane.attempts.map((one) => one.fate).join());
    return { odd: model.odd, fates, pauses: axis.cuts.length, left: axis.span < 15e6, box: axis.box(3_600e6, 3_606e6) !== null, last: axis.ticks(8).at(-1).label };
  });
  same(found, { odd: 0, fates: ["used", "cut-off,used", "used"], pauses: 1, left: true, box: true, last: found.last }, "what is drawn");
  check(found.last.includes("h") || found.last.includes("min"), found.last);
});

test("a job that is not there is told", async (page) => {
  await page.goto(hash(`jobs/${"0".repeat(32)}`));
  await until("the problem", async () => (await texts(page, "h1"))[0] === "No such job");
});

test("a server without workers says so, and how to have some", async (page) => {
  await page.goto(hash("workers"));
  const [words] = await until("the words", async () => ((found) => found.length > 0 && found)(await texts(page, ".notice")));
  check(words.startsWith("This server's leaves run in its own process") && words.includes("[workers]"), words);
  same(await texts(page, ".nav a[aria-current=page]"), ["Workers"], "the view in the head");
  check(!(await page.isVisible(".workers")), "no list");
});

const WORKER = { version: "1.0.0", state: "working", slots: 4, first_slot: 2, age_ms: 61_000, silent_ms: 12, round_trip_ms: 0.4, attempts: 3, waiting: 1, ended: 1200, ran_ms: 5000, rate: 19.7 };
const HOSTILE = "<img src=x onerror=alert(1)>\u202e/..";

// Answers for the server: the list is what `list` gives, and each drain is noted in `drained`. The page's clock stands still.
async function withWorkers(page, list, drained = [], refusal = null) {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(100_000);
  await page.route("**/v1/workers", (route) => route.fulfill({ json: list() }));
  await page.route("**/v1/workers/*/drain", (route) => {
    drained.push(new URL(route.request().url()).pathname);
    if (refusal) return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(refusal) });
    return route.fulfill({ json: { draining: 1 } });
  });
  await page.goto(hash("workers"));
}

const listed = (workers, more = {}) => ({ workers, local_slots: 2, may_join: true, ...more });
const workerRow = (name) => `tr[data-worker="${name}"]`;
// Lets the time pass after which the page asks for the list again.
const listAgain = (page) => page.clock.runFor(2_000);

test("workers stand with their load, and those that get nothing with the reason", async (page) => {
  const refusals = Array.from({ length: 7 }, (_, index) => `leaf ${index}: no such grant`);
  const more = [
    { ...WORKER, name: "b", first_slot: 6, slots: 1, attempts: 0, waiting: 0, idle_because: "it does not read what it is sent", refusals },
    { ...WORKER, name: HOSTILE, first_slot: 7, state: "draining", idle_because: "it drains", round_trip_ms: undefined, silent_ms: undefined },
  ];
  await withWorkers(page, () => listed([{ ...WORKER, name: "a" }, ...more]));
  const rows = await until("the workers", async () => ((found) => found.length === 3 && found)(await texts(page, ".workers tbody tr")));
  check(rows[0].startsWith("a 1.0.0 · slots 2 to 5 · joined 1 min ago working 2 of 4 3, 1 waiting 1,200 19 400 µs 12.0 ms ago"), rows[0]);
  check(rows[1].includes("slot 6") && rows[1].includes("gets nothing because it does not read what it is sent"), rows[1]);
  check(rows[1].includes("cannot run: leaf 4: no such grant and 2 more"), rows[1]);
  check(rows[2].startsWith("<img src=x onerror=alert(1)>\\u{202e}/.. 1.0.0") && rows[2].includes("draining 2 of 4"), rows[2]);
  same(await page.$$eval(".workers tbody button:not([hidden])", (found) => found.length), 2, "buttons: none for one that drains");
  check((await texts(page, "#view"))[0].includes("3 workers with 9 slots; leaves also run on 2 slots of the server's own process"), "the summary");
  const heads = await page.$$eval(".workers tbody th[scope=row]", (found) => found.length);
  same(heads, 3, "heads of rows");
});

test("a worker is drained once it was asked back, also while the list changes", async (page) => {
  const workers = [{ ...WORKER, name: "first" }, { ...WORKER, name: "second/..", first_slot: 6 }];
  const drained = [];
  await withWorkers(page, () => listed(workers), drained);
  const button = `${workerRow("second/..")} button`;
  await page.focus(button);
  await page.keyboard.press("Enter");
  const asked = await page.innerText(button);
  check(asked.startsWith("really?"), asked);
  workers[1].ended = 1201;
  workers.shift();
  await listAgain(page);
  await until("the new list", async () => (await texts(page, ".workers tbody tr")).join().includes("1,201"));
  same([drained.length, await page.innerText(button)], [0, asked], "nothing drained yet, and the question");
  check(await page.$eval(button, (one) => one === document.activeElement), "the focus stays");
  workers[0].state = "draining";
  await page.keyboard.press("Enter");
  await until("its state", async () => (await texts(page, ".workers .badge")).join() === "draining");
  same(drained, ["/v1/workers/second%2F../drain"], "requests");
  check((await texts(page, "[role=status]")).some((text) => text.startsWith("second/.. gets no more attempts")), "what was done");
});

test("workers that have left stay in the list with the reason, and isolated apps' processes have one of their own", async (page) => {
  const gone = [
    { ...WORKER, name: "spare", state: "spare", pid: 47, slots: 1 },
    { ...WORKER, name: "old", state: "drained", drained_ms: 1000, drained_by: HOSTILE, gone_ms: 60_000 },
    { ...WORKER, name: "stopped", state: "drained", drained_ms: 1000, gone_ms: 60_000 },
    { name: "newer", state: "refused", slots: 0, first_slot: 0, age_ms: 61_000, attempts: 0, waiting: 0, ended: 0, ran_ms: 0, rate: 0, idle_because: "it speaks version 2" },
  ];
  const process = { ...WORKER, name: "isolated-0", pid: 4711, apps: ["pi"], state: "working", slots: 1 };
  await withWorkers(page, () => listed([{ ...WORKER, name: "a" }, ...gone], { isolated: [process, { ...process, name: "isolated-1", apps: undefined, pid: 4712, state: "spare" }] }));
  const rows = await until("the workers", async () => ((found) => found.length === 5 && found)(await texts(page, ".workers tbody tr")));
  check(rows[1].includes("process 47") && rows[1].includes("spare"), rows[1]);
  check(rows[2].includes("left 1 min ago") && rows[2].includes("drained by <img src=x"), rows[2]);
  check(rows[3].includes("drained by its own host"), rows[3]);
  check(rows[4].includes("refused because it speaks version 2") && rows[4].includes("heard 1 min ago"), rows[4]);
  same(await page.$$eval(".workers tbody button:not([hidden])", (found) => found.length), 1, "buttons: for one that works");
  check((await texts(page, "#view"))[0].includes("1 worker with 4 slots"), "the summary counts those that are here");
  same(await texts(page, ".isolated tbody tr"), ["isolated-0 4711 working pi 3 1,200", "isolated-1 4712 spare 3 1,200"], "processes");
});

test("who may not drain a worker is told", async (page) => {
  await withWorkers(page, () => listed([{ ...WORKER, name: "a" }]), [], { title: "the token's role does not allow this", detail: "an admin may", status: 403 });
  const button = `${workerRow("a")} button`;
  await page.click(button);
  await page.click(button);
  await until("the refusal", async () => (await texts(page, ".notice-bad"))[0]?.startsWith("the token's role does not allow this"));
  same(await texts(page, ".workers .badge"), ["working"], "its state");
});

test("workers come and go", async (page) => {
  let list = listed([], { local_slots: 0 });
  await withWorkers(page, () => list);
  await until("what to do", async () => (await texts(page, ".notice-warn"))[0]?.includes("frond worker --nats URL"));
  list = listed([{ ...WORKER, name: "a" }], { local_slots: 0 });
  await listAgain(page);
  await until("the worker", () => page.$(workerRow("a")));
  same(await texts(page, ".notice"), [], "notices");
  check((await texts(page, "#view"))[0].includes("leaves run on workers only"), "the summary");
  list = listed([]);
  await listAgain(page);
  await until("its end", async () => (await texts(page, ".notice"))[0]?.startsWith("No worker has joined"));
  check(!(await page.isVisible(".workers")), "no list");
});

test("a hidden tab does not ask for the workers", async (page) => {
  await page.addInitScript(() => {
    const whole = fetch;
    window.asked = 0;
    window.fetch = (...args) => ((window.asked += 1), whole(...args));
  });
  await withWorkers(page, () => listed([{ ...WORKER, name: "a" }]));
  await until("the worker", () => page.$(workerRow("a")));
  const become = (state) => page.evaluate((now) => {
    Object.defineProperty(document, "visibilityState", { value: now, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    return window.asked;
  }, state);
  const before = await become("hidden");
  for (let time = 0; time < 3; time += 1) await listAgain(page);
  same(await page.evaluate(() => window.asked), before, "requests while it is hidden");
  same(await become("visible"), before + 1, "requests once it is visible");
});

test("every view fits a narrow window", async (page) => {
  await page.goto(base);
  await until("the apps", () => page.$(".card"));
  await fits(page, "the apps");
  await page.goto(hash("apps/faulty"));
  await until("the app", () => page.$("section[aria-label=Limits]"));
  await fits(page, "an app");
  await ask(page, "faulty", { body: byKeys(["ok-1", "trap", "panic", "sleep-ms:30"]) });
  await fits(page, "the console with an answer");
  const link = await page.getAttribute(".result a[href^='#/queries/']", "href");
  await page.goto(`${base}${link}?partition=2`);
  await until("the partition", () => page.$(".partition"));
  await until("the answer", () => page.$("section[aria-label=Answer] .code"));
  await fits(page, "a query with a partition open");
  await page.goto(hash("queries"));
  await until("the queries", () => page.$(".queries tbody tr"));
  await fits(page, "the queries");
  const id = await submitted(page, "faulty", byKeys(["ok-1", "trap", "sleep-ms:30"]), "?floor=best-effort");
  await page.goto(hash(`jobs/${id}`));
  await jobIs(page, "partial");
  await until("its waterfall", async () => (await texts(page, ".wf-rows .wf-label")).length === 3);
  await fits(page, "a job");
  await page.goto(hash("jobs"));
  await until("the jobs", () => page.$(".queries tbody tr"));
  await fits(page, "the jobs");
  await page.goto(hash("workers"));
  await until("the words", () => page.$(".notice"));
  await fits(page, "no workers");
  const long = { ...WORKER, name: "w".repeat(100), idle_because: "x".repeat(300), refusals: ["y".repeat(300)] };
  await page.goto("about:blank");
  await withWorkers(page, () => listed([{ ...WORKER, name: "a" }, long]));
  await until("the workers", () => page.$(workerRow("a")));
  await fits(page, "the workers");
}, NARROW);

if (guarded) {
  test("a token is asked for, refused when it is wrong, and kept for the tab", async (page) => {
    await page.goto(guarded);
    await page.fill("#token", "wrong");
    await page.keyboard.press("Enter");
    await until("the refusal", async () => (await texts(page, ".field-error"))[0]?.includes("does not know"));
    await page.fill("#token", token);
    await page.keyboard.press("Enter");
    await until("the apps", () => page.$(".card"));
    await page.reload();
    await until("the apps again", () => page.$(".card"));
    check(!(await page.$("dialog")), "it is not asked for again");
  });
}

if (crewed) {
  test("the worker processes of a server are listed, and run its leaves", async (page) => {
    await page.goto(`${crewed}#/workers`);
    for (const name of ["process-0", "process-1"]) await until(name, () => page.$(workerRow(name)));
    await page.evaluate(async (body) => (await fetch("v1/apps/rail/query?floor=all&deadline=30s", { method: "POST", body })).text(), RAIL);
    const { workers } = await page.evaluate(async () => (await fetch("v1/workers")).json());
    check(workers.reduce((sum, worker) => sum + worker.ended, 0) >= 5, JSON.stringify(workers));
    check((await texts(page, "#view"))[0].includes("2 workers with 2 slots; leaves run on workers only"), "the summary");
  });
}

await runAll();
