// A real Chromium without a window, and tests that say in TAP what holds (https://testanything.org).

import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { chromium } = createRequire(join(process.env.FROND_BROWSER_TOOLS, "x.js"))("playwright-core");

// No window, nothing fetched in the background; a profile of its own, which is new and is thrown away.
const FLAGS = [
  "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];
const PATIENCE = 30_000;

const tests = [];

// A test: `act` gets a context of pages, and the pages' complaints are failures.
export function test(name, act, options = {}) {
  tests.push({ name, act, options });
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

export function same(found, wanted, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (one !== other) throw new Error(`${what}: found ${one}, wanted ${other}`);
}

// Waits until `act` gives something true, and gives that.
export async function until(what, act) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await act();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// The text of all elements that a selector names, white space made one.
export function texts(page, selector) {
  return page.$$eval(selector, (found) => found.map((one) => one.innerText.replace(/\s+/g, " ").trim()));
}

// As wide as reflow asks for without scrolling sideways (WCAG 2.2, 1.4.10).
export const NARROW = { viewport: { width: 320, height: 800 } };

// Fails unless everything is within the window's width, or within what scrolls by itself.
export async function fits(page, what) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  same(wide, 0, `${what}: pixels beyond the window`);
}

async function run(browser, { name, act, options }) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const complaints = [];
  context.on("weberror", (error) => complaints.push(error.error().message));
  context.on("console", (message) => {
    // A refusal by the server is no mistake of the page's; what the policy refuses is.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  context.on("dialog", () => complaints.push("a script of somebody else's ran"));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  try {
    await act(page, context);
    if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join("; ")}`);
    return null;
  } catch (error) {
    if (process.env.FROND_SHOTS) await page.screenshot({ path: join(process.env.FROND_SHOTS, `${name.replaceAll(" ", "-")}.png`) });
    return error;
  } finally {
    await context.close();
  }
}

// Starts a browser, and gives it with what ends it.
export async function launched() {
  const profile = mkdtempSync(join(tmpdir(), "frond-browser-"));
  // `--user-data-dir` is playwright's to give: it makes a new folder for each start, in the one named here.
  process.env.TMPDIR = profile;
  const browser = await chromium.launch({ executablePath: process.env.FROND_CHROMIUM, headless: true, args: FLAGS });
  const end = async () => {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return [browser, end];
}

// Runs every test, or the ones that `FROND_ONLY` is part of the name of; the exit code says whether all hold.
export async function runAll() {
  const wanted = tests.filter(({ name }) => name.includes(process.env.FROND_ONLY ?? ""));
  const [browser, end] = await launched();
  let failed = 0;
  console.log(`1..${wanted.length}`);
  for (const [index, one] of wanted.entries()) {
    const error = await run(browser, one);
    console.log(`${error ? "not ok" : "ok"} ${index + 1} - ${one.name}`);
    if (error) {
      failed += 1;
      console.log(`  # ${String(error.message).split("\n").slice(0, 12).join("\n  # ")}`);
    }
  }
  await end();
  process.exit(failed > 0 ? 1 : 0);
}
