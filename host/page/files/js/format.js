// Words and numbers for people, spelled as in the terminal: made safe to show, and never rounded into a lie.

const MAX_TEXT = 400;

// Characters that control, reorder or hide text (Unicode TR 36, "bidirectional text spoofing").
const UNSAFE = new RegExp(
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\ufeff\\u2028-\\u202e\\u2060-\\u206f" +
    "\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]",
  "gu",
);

function escaped(char) {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[char];
  return short ?? `\\u{${char.codePointAt(0).toString(16)}}`;
}

// One line of foreign text: what controls or reorders it becomes a visible escape, what is too long ends in a `…`.
export function visible(text, limit = MAX_TEXT) {
  const whole = String(text ?? "");
  const cut = whole.length > limit ? `${whole.slice(0, limit)}…` : whole;
  return cut.replace(UNSAFE, escaped);
}

// The same for text of several lines: its line ends and tabs stay.
export function visibleLines(text) {
  return String(text ?? "").replace(UNSAFE, (char) => (char === "\n" || char === "\t" ? char : escaped(char)));
}

// Microseconds, to three digits or so: `812 µs`, `43.1 ms`, `1.79 s`, `2 min 03 s`, `1 h 02 min`.
export function duration(micros) {
  const us = Math.max(0, Math.floor(micros));
  const two = (number) => String(number).padStart(2, "0");
  if (us < 1e3) return `${us} µs`;
  if (us < 1e5) return `${Math.floor(us / 1e3)}.${Math.floor(us / 100) % 10} ms`;
  if (us < 1e6) return `${Math.floor(us / 1e3)} ms`;
  if (us < 6e7) return `${Math.floor(us / 1e6)}.${two(Math.floor(us / 1e4) % 100)} s`;
  if (us < 3.6e9) return `${Math.floor(us / 6e7)} min ${two(Math.floor(us / 1e6) % 60)} s`;
  return `${Math.floor(us / 3.6e9)} h ${two(Math.floor(us / 6e7) % 60)} min`;
}

// Milliseconds, as coverage has them.
export function millis(ms) {
  return duration(Math.round(ms * 1e3));
}

// A share of 0 to 1, rounded down: less than all never reads `100 %`, more than nothing never `0 %`.
export function percent(share) {
  const part = Math.min(1, Math.max(0, share));
  if (part > 0 && part < 0.001) return "<0.1 %";
  let tenths = Math.floor(part * 1e3 + 1e-6);
  if (part < 1) tenths = Math.min(tenths, 999);
  return tenths % 10 === 0 ? `${tenths / 10} %` : `${(tenths / 10).toFixed(1)} %`;
}

// The share that `part` is of `whole`; 1 for a part of nothing.
export function share(part, whole) {
  return whole === 0 ? 1 : part / whole;
}

// A factor: `3.1×`, `120×`.
export function times(factor) {
  if (factor < 10) return `${factor.toFixed(1)}×`;
  return factor < 1e6 ? `${factor.toFixed(0)}×` : ">1,000,000×";
}

// A count with its thousands apart: `10,000`.
export function count(number) {
  return String(Math.floor(number)).replace(/\B(?=(\d{3})+$)/g, ",");
}

// A count and its noun: `1 retry`, `2 retries`.
export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Bytes: `812 B`, `4.0 KiB`, `1.3 GiB`.
export function bytes(number) {
  let value = number;
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB", "PiB"]) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return unit === "B" ? `${number} B` : `${value.toFixed(1)} ${unit}`;
}

// A big number that is not bytes: `812`, `1.3 M`, `2.0 G`.
export function big(number) {
  let value = number;
  let unit = "";
  for (const next of [" k", " M", " G", " T", " P", " E"]) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return unit === "" ? String(number) : `${value.toFixed(1)}${unit}`;
}

// Unix milliseconds as a date and a time of day in UTC.
export function date(unixMs) {
  const iso = new Date(unixMs).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}

// How long ago a moment was, roughly.
export function ago(unixMs, now = Date.now()) {
  const seconds = Math.max(0, Math.floor((now - unixMs) / 1000));
  if (seconds < 2) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return date(unixMs).slice(0, 10);
}

// A floor in words, from the form that events and coverage have, or from a share.
export function floorWords(floor) {
  if (floor === "all") return "floor: all";
  if (floor === "best-effort") return "floor: anything";
  const share = typeof floor === "object" && floor !== null ? floor["at-least"] : Number(floor);
  return Number.isFinite(share) ? `floor ${percent(share)}` : "floor: unknown";
}

// What became of a partition, in words.
export function statusWords(status) {
  return String(status ?? "").replace("_", " ");
}

// Why a query failed, in words. The reason is a slug, or the tagged form of events.
export function reasonWords(reason) {
  const slug = typeof reason === "object" && reason !== null ? reason.reason : reason;
  const failure = typeof reason === "object" && reason !== null ? reason.failure : null;
  const because = failure ? `${failure.kind}: ${failure.message ?? ""}` : "";
  const known = {
    "below-floor": "too little arrived to answer",
    deadline: "nothing arrived before the deadline",
    cancelled: "cancelled before enough had arrived",
    refused: "refused before it began",
  };
  if (slug === "split" || slug === "merge") return because ? `the ${slug} failed: ${because}` : `the ${slug} failed`;
  if (slug === "invalid-query") return because || "invalid-query: the query is wrong";
  return known[slug] ?? visible(slug);
}
