// What the page gives to be pasted into a shell, pasted into one: each word arrives as it was, and none is an option, a file
// or a command. Needs no browser.

import { spawnSync } from "node:child_process";

import { asCli, asCurl, quoted } from "../files/js/commands.js";

globalThis.document = { baseURI: "http://127.0.0.1:7300/" };

const QUERIES = [
  "plain", "", "@/etc/passwd", "-", "@", "--build", "-o/tmp/x", "$(touch /tmp/no)", "`id`", "a'b\"c", "'; id; '", "a b\tc\nd", "\\n\\", "!!", "~root",
  "=ls", "*", "{a,b}", "%0a", "\u001b[201~id\n", "\u202egnp.exe", "\u0085", "über 🦀", "\r\nx",
];

let failed = 0;
let count = 0;

function same(found, wanted, what) {
  const holds = JSON.stringify(found) === JSON.stringify(wanted);
  failed += holds ? 0 : 1;
  console.log(`${holds ? "ok" : "not ok"} ${(count += 1)} - ${what}`);
  if (!holds) console.log(`  # found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
}

// The words that a shell makes of a command, without its name.
function words(command) {
  // As frond does, it takes `-` for what comes on stdin.
  const frond = `frond() { for word; do if [ "$word" = - ]; then cat; printf '\\0'; else printf '%s\\0' "$word"; fi; done; }`;
  const shell = `curl() { printf '%s\\0' "$@"; }\n${frond}\n${command}`;
  const ran = spawnSync("bash", ["-c", shell], { encoding: "utf8", env: { LC_ALL: "C.UTF-8", FROND_TOKEN: "secret" } });
  return ran.stdout.split("\0").slice(0, -1);
}

console.log(`1..${4 * QUERIES.length}`);
for (const body of QUERIES) {
  const shown = JSON.stringify(body);
  const asking = { app: `x${body}`, body, deadline: "", floor: "", require: body ? [body] : [] };
  const curl = words(asCurl(asking, true));
  same(curl.slice(0, 7), ["-sS", "-D", "/dev/stderr", "-H", "Authorization: Bearer secret", "--data-raw", body], `curl: ${shown}`);
  const cli = words(asCli(asking));
  const options = body ? [`--require=${body}`] : [];
  same(cli, ["query", ...options, "--", asking.app, body], `frond: ${shown}`);
  const acts = [...quoted(body)].some((sign) => sign !== "\n" && sign !== "\t" && /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/u.test(sign));
  same(/ '(@|-')[^|]*$/.test(asCli({ ...asking, require: [], app: "app" })), false, `no file is named: ${shown}`);
  same([curl[7], acts], ["--", false], `nothing for the terminal: ${shown}`);
}
process.exit(failed > 0 ? 1 : 0);
