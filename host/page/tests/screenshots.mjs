// Renews the screenshots in host/page/docs: node screenshots.mjs URL FOLDER, beside `frond serve examples`.

import { join } from "node:path";
import { launched, until } from "./browser.mjs";

const [url, folder] = process.argv.slice(2);
const QUERY = new URLSearchParams({ body: '{"from":"London","budget":60,"stall":"Scotland"}', deadline: "300ms", floor: "0.55" });

const [browser, end] = await launched();

// Opens a window in a colour scheme.
const opened = (colorScheme, height) => browser.newPage({ viewport: { width: 1280, height }, colorScheme });

const console_ = await opened("dark", 900);
await console_.goto(`${url}#/console/rail?${QUERY}`);
await until("the apps", async () => (await console_.$$("#app option")).length > 0);
// The first answer has the costs of a cold start.
for (let round = 0; round < 2; round += 1) {
  await console_.click(".ask .primary");
  await until("an answer", () => console_.$(".result .panel[aria-label=Coverage]"));
}
await console_.screenshot({ path: join(folder, "console.png") });

const query = await opened("light", 960);
await query.goto(`${url}${await console_.getAttribute(".result a[href^='#/queries/']", "href")}`);
await until("the waterfall", () => query.$(".wf-rows .wf-row"));
await query.screenshot({ path: join(folder, "query.png") });
await end();
