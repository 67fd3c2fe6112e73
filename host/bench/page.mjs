// Measures the page in a browser: node page.mjs URL APP, where the app's query has many partitions.
// Prints JSON, in ms.

import { launched, longestPause, texts, until } from "../page/tests/browser.mjs";

const [base, app] = process.argv.slice(2);
const [browser, end] = await launched();

// Times from the request to the first contentful paint, and until the apps are listed, with an
// empty cache.
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

// Time from opening an ended query until its waterfall is complete, and the longest time without a
// frame in between.
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
