// The self-contained file, opened from the disk: node explain.mjs FOLDER, where the folder has `*.html` with the recordings'
// pages and `partial.txt`, which is what the terminal explains of `partial.html`.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { check, fits, NARROW, runAll, same, test, texts, until } from "./browser.mjs";

const folder = process.argv[2];

async function open(page, name, hash = "") {
  await page.goto(pathToFileURL(join(folder, name)).href + hash);
  await until("the verdict", () => page.$(".verdict"));
  await until("the waterfall", () => page.$(".wf-rows .wf-row"));
}

test("a partial answer names what is missing, and why", async (page) => {
  await open(page, "partial.html");
  const [badge] = await texts(page, ".query-title .badge");
  check(/^partial 4 of 5, \d+(\.\d)? % by weight$/.test(badge), badge);
  const [row] = await texts(page, ".missing tbody tr");
  check(row.startsWith("Scotland timed out out-of-time still running"), row);
  same((await texts(page, ".wf-rows .wf-label")).length, 5, "partitions in the waterfall");
  check((await texts(page, ".wf-rows .wf-label")).includes("◆ Scotland"), "Scotland is on the critical path");
  check(await page.$(".bar-cut-off"), "what was cut off is drawn as such");
  check((await texts(page, ".lint"))[0]?.startsWith("straggler: Scotland ran"), "the straggler stands out");
});

test("the page and the terminal say the same", async (page) => {
  await open(page, "partial.html");
  const terminal = readFileSync(join(folder, "partial.txt"), "utf8").split("\n").map((line) => line.replace(/\s+/g, " ").trim());
  const section = (name) => {
    const from = terminal.indexOf(name) + 1;
    check(from > 0, `the terminal has no ${name}`);
    return terminal.slice(from, terminal.indexOf("", from));
  };
  same(await texts(page, ".path tbody tr"), section("critical path"), "the critical path");
  const times = await texts(page, "section[aria-label=Times] tbody tr");
  same(times, section("times (quantiles by nearest rank)").slice(1), "the quantiles");
  const stragglers = (await texts(page, "section[aria-label=Stragglers] tbody tr")).map((row) => row.replace(" and was cut off", ", and was cut off"));
  same(stragglers.map((row) => row.replace("▲", "")), section("stragglers"), "the stragglers");
  const [verdict] = await texts(page, ".query-head .verdict");
  check(terminal.includes(`partial ${verdict}`), verdict);
});

test("a leaf's waits are thin lines, and no slot time", async (page) => {
  await open(page, "faulty.html");
  const row = await page.$eval(".wf-row:has([title='sleep-ms:30'])", (row) => ({
    waits: [...row.querySelectorAll(".bar-waiting")].map((bar) => bar.offsetHeight),
    runs: row.querySelectorAll(".bar-used").length,
    note: row.innerText,
  }));
  check(row.waits.length > 0 && row.waits.every((height) => height === 2), JSON.stringify(row));
  check(row.runs >= row.waits.length && row.note.includes(" waited"), JSON.stringify(row));
  check((await texts(page, ".wf-legend"))[0].includes("waiting without a slot"), "the legend tells of it");
  const slots = (await texts(page, "section[aria-label=Slots]"))[0];
  check(/\d+ of \d+ attempts waited without a slot, /.test(slots), slots);
});

test("what guests and keys say is only ever text", async (page) => {
  await open(page, "faulty.html");
  const label = (await texts(page, ".wf-rows .wf-label")).find((text) => text.includes("<img"));
  check(label.includes("<img src=x onerror=alert(1)>\\u{202e}"), label);
  same(await page.$$eval("main img, main script", (found) => found.length), 0, "elements made of a key");
});

test("failures stand with their slug, their frames and their log", async (page) => {
  await open(page, "faulty.html");
  const failures = await texts(page, "section[aria-label=Failures] li");
  check(failures.some((text) => text.includes("trap") && text.includes("backtrace")), failures.join(" | "));
  check(failures.some((text) => /unavailable first at unavailable, attempt 1/.test(text)), failures.join(" | "));
  check(failures.some((text) => text.includes("log") && text.includes("panicked at")), failures.join(" | "));
});

test("a limit that ended a leaf stands with its key and how to raise it", async (page) => {
  await open(page, "faulty.html");
  const told = "limits.leaf.output is 4 MiB; raise it with `[limits.leaf] output = …`";
  const row = (await texts(page, ".missing tbody tr")).find((text) => text.startsWith("huge-output "));
  check(row?.includes(told), row);
  const failures = await texts(page, "section[aria-label=Failures] li");
  check(failures.some((text) => text.includes("output-too-large") && text.includes(told)), failures.join(" | "));
});

test("what a leaf wrote that succeeded is shown, and leads to its partition", async (page) => {
  await open(page, "faulty.html");
  const section = "section[aria-label='Written by leaves that succeeded']";
  same(await texts(page, `${section} li`), ["say:hello said hello muttered hello"], "what was written");
  await page.click(`${section} button`);
  same(await texts(page, ".partition h2"), ["Partition say:hello"], "the partition");
  check((await texts(page, ".partition .log")).includes("said hello muttered hello"), "its log");
});

test("a remark on an input is a note", async (page) => {
  await open(page, "noted.html");
  const [note] = await texts(page, ".run > .notes > p");
  check(note?.startsWith("note: `text.gz`: compressed (gzip)"), note);
});

test("an attempt that was made again is drawn, counted and told of", async (page) => {
  await open(page, "faulty.html");
  const row = await page.$eval(".wf-row:has([title=unavailable])", (row) => ({ bars: row.querySelectorAll(".bar-failed").length, note: row.innerText }));
  check(row.bars > 1 && row.note.includes(`${row.bars} attempts`), JSON.stringify(row));
  await page.click(".wf-row:has([title=unavailable])");
  const attempts = await texts(page, ".partition tbody tr");
  same(attempts.length, row.bars, "attempts of the partition");
});

test("keys move, open, zoom and close", async (page) => {
  await open(page, "partial.html");
  await page.focus(".wf-scroll");
  const outline = await page.$eval(".wf-scroll", (one) => getComputedStyle(one).outlineStyle);
  check(outline !== "none", "the focus is seen");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  same(await texts(page, ".partition h2"), ["Partition North West & Central"], "the second partition");
  check((await page.evaluate(() => location.hash)).includes("partition=1"), "it is in the URL");
  const before = await texts(page, ".tick");
  await page.keyboard.press("+");
  check(JSON.stringify(await texts(page, ".tick")) !== JSON.stringify(before), "the axis is zoomed");
  await page.keyboard.press("0");
  same(await texts(page, ".tick"), before, "the axis is whole again");
  await page.focus(".close");
  await page.keyboard.press("Enter");
  same(await texts(page, ".partition h2"), [], "it is closed");
});

test("a URL brings back what was chosen", async (page) => {
  await open(page, "partial.html", "#partition=3");
  await until("the partition", async () => (await texts(page, ".partition h2"))[0] === "Partition Scotland");
});

test("10,000 partitions are folded, shown and scrolled, and few are in the document", async (page) => {
  await page.goto(pathToFileURL(join(folder, "many.html")).href);
  await until("the end", async () => (await texts(page, ".query-title .badge"))[0] !== undefined && page.$(".wf-tools button:not([hidden])"));
  same(await texts(page, ".wf-tools > button"), ["show all 10,000 partitions"], "it is folded");
  check((await texts(page, ".wf-words")).some((text) => text.startsWith("slowest of the others: 20 of")), "the slowest are shown");
  await page.click(".wf-tools > button");
  await until("all rows", async () => (await page.getAttribute(".wf-scroll", "aria-rowcount")) === "10000");
  for (let step = 1; step <= 20; step += 1) {
    await page.$eval(".wf-scroll", (one, part) => {
      one.scrollTop = one.scrollHeight * part;
      return new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    }, step / 20);
  }
  const labels = await texts(page, ".wf-rows .wf-label");
  check(labels[labels.length - 1].endsWith("99990000..100000000"), labels[labels.length - 1]);
  check(labels.length < 100, `${labels.length} rows are in the document`);
});

test("a recording that stops says so", async (page) => {
  await open(page, "cut.html");
  const [verdict] = await texts(page, ".verdict");
  check(verdict.startsWith("no end: the recording stops"), verdict);
});

test("a query without an answer says why", async (page) => {
  await open(page, "failed.html");
  same(await texts(page, ".query-title .badge"), ["failed"], "the badge");
  same(await texts(page, ".reason > p"), ["too little arrived to answer"], "the reason");
});

test("light and dark follow the system, and a choice", async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await open(page, "partial.html");
  await page.emulateMedia({ colorScheme: "light" });
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  check(light !== dark, "the system's choice is followed");
  await page.click(".theme");
  same(await background(), light, "a choice of light while the system is dark");
});

test("nothing is fetched", async (page, context) => {
  const asked = [];
  context.on("request", (request) => asked.push(request.url()));
  await open(page, "faulty.html");
  same(asked.length, 1, `requests (${asked.join(", ")})`);
});

test("a narrow window has everything, without scrolling sideways", async (page) => {
  for (const name of ["partial.html", "failed.html", "faulty.html", "many.html"]) {
    await open(page, name);
    await until("what stands out", () => page.$(".lints"));
    await fits(page, name);
    check((await texts(page, ".wf-narrow .wf-row")).length > 0, "labels stand above their bars");
  }
}, NARROW);

await runAll();
