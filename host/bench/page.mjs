// Times the page in a browser: node page.mjs URL APP, where the app's query has many partitions. Tells milliseconds, as JSON.

import { launched, longestPause, texts, until } from "../page/tests/browser.mjs";

const [base, app] = process.argv.slice(2);
const [browser, end] = await launched();

// What a browser that has seen nothing of the page needs until something, and all of the first view, is drawn.
async function firstPaint() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(base);
  await until("the apps", async () => (await texts(page, "main")).some((text) => text.includes(app)));
  const times = await page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    ready: performance.now(),
  }));
  await context.close();
  return times;
}

// From opening a query that has ended until its waterfall is whole, and the longest time without a frame meanwhile.
async function waterfall() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.goto(base);
  const id = await page.evaluate(async (path) => {
    const reply = await fetch(path, { method: "POST", body: '{"seed":1}' });
    await reply.arrayBuffer();
    return reply.headers.get("frond-query");
  }, `v1/apps/${app}/query`);
  let took = 0;
  const pause = await longestPause(page, async () => {
    const start = performance.now();
    await page.evaluate((hash) => { location.hash = hash; }, `#/queries/${id}`);
    await until("the whole waterfall", async () => {
      const rows = await page.$$(".wf-rows .wf-row");
      return rows.length > 0 && (await texts(page, ".query-title .badge"))[0] === "complete";
    });
    took = performance.now() - start;
  });
  await context.close();
  return { took, pause };
}

const rounds = [];
for (let round = 0; round < 5; round += 1) {
  const { paint, ready } = await firstPaint();
  rounds.push({ paint, ready, ...(await waterfall()) });
}
await end();
console.log(JSON.stringify(rounds));
