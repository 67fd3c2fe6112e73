// The verdict: how much is in the answer, what is missing and why, where the time went. The terminal's words.

import { badge, h, notice, table } from "./dom.js";
import { bytes, count, floorWords, millis, percent, plural, reasonWords, statusWords, visible, visibleLines } from "./format.js";

const LISTED = 10;
const KINDS = { complete: "good", partial: "warn", failed: "bad" };
const PARTS = ["succeeded", "skipped", "degraded", "failed", "timed_out", "cancelled", "not_started"];

// What the server, or the way to it, refused.
export function problemNotice(error) {
  return notice("bad", visible(error.message), h("p", { class: "message" }, visibleLines(error.detail ?? "")));
}

// The outcome as a badge: `complete`, `partial 37 of 40, 97 % by weight`, `failed`.
export function outcomeBadge(outcome, coverage) {
  if (!outcome) return badge("busy", "running");
  if (outcome !== "partial" || !coverage) return badge(KINDS[outcome] ?? "none", visible(outcome));
  const there = coverage.partitions.succeeded + coverage.partitions.skipped;
  const weight = percent(coverage.fraction);
  return badge("warn", `partial ${count(there)} of ${count(coverage.partitions.planned)}, ${weight} by weight`);
}

function covered(coverage) {
  const tally = coverage.partitions;
  if (tally.planned === 0) {
    return coverage.complete || coverage.fraction > 0 ? "the plan has no partitions" : "nothing was planned";
  }
  const there = tally.succeeded + tally.skipped;
  const skipped = tally.skipped > 0 ? ` (${count(tally.skipped)} with nothing to do)` : "";
  const parts = [`${count(there)} of ${plural(tally.planned, "partition", "partitions")}${skipped}`];
  if (tally.degraded > 0) parts.push(`${count(tally.degraded)} more in part`);
  if (there < tally.planned) parts.push(`${percent(coverage.fraction)} by weight`);
  return parts.join(", ");
}

// The verdict as a sentence.
export function headline(coverage) {
  const { total, deadline } = coverage.timings;
  return `${covered(coverage)}, in ${millis(total)} of ${millis(deadline)} (${floorWords(coverage.floor)})`;
}

// Why a query failed, with the plugin's own words, frames and log.
export function reasonBlock(reason, withDetails = true) {
  if (!reason) return null;
  const failure = typeof reason === "object" ? reason.failure : null;
  return h("div", { class: "reason" }, h("p", { class: "is-bad" }, visible(reasonWords(reason), 2000)), failure && withDetails ? failureDetails(failure) : null);
}

// The covered share as a bar, by weight, each part with a pattern of its own, and the floor as a mark.
export function coverageBar(coverage) {
  const { weight, partitions } = coverage;
  const tally = weight.planned > 0 ? weight : partitions;
  if (tally.planned === 0) return null;
  const present = PARTS.filter((part) => tally[part] > 0);
  const segments = present.map((part) => {
    const share = tally[part] / tally.planned;
    const words = `${statusWords(part)}: ${plural(partitions[part], "partition", "partitions")}, ${percent(share)} by weight`;
    return h("span", { class: `seg seg-${part}`, style: { "flex-grow": String(Math.max(share, 0.004)) }, title: words });
  });
  const floor = typeof coverage.floor === "object" ? coverage.floor["at-least"] : coverage.floor === "all" ? 1 : null;
  const mark = floor !== null && floor < 1 ? h("span", { class: "floor", style: { left: `${floor * 100}%` }, title: floorWords(coverage.floor) }) : null;
  const key = PARTS.filter((part) => partitions[part] > 0).map((part) =>
    h("li", {}, h("span", { class: `seg seg-${part}` }), `${count(partitions[part])} ${statusWords(part)}`));
  if (mark) key.push(h("li", {}, h("span", { class: "floor-key" }), floorWords(coverage.floor)));
  const label = `coverage: ${percent(coverage.fraction)} by weight`;
  return h("div", { class: "coverage" }, h("div", { class: "coverage-bar", role: "img", "aria-label": label }, segments, mark), h("ul", { class: "coverage-key" }, key));
}

// How far a running query is.
export function progressBar(settled, planned, missing) {
  const share = planned > 0 ? settled / planned : 0;
  const lost = planned > 0 ? missing / planned : 0;
  const part = (name, value) => (value > 0 ? h("span", { class: `seg seg-${name}`, style: { "flex-grow": String(value) } }) : null);
  const bar = h("div", {
    class: "coverage-bar", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": String(planned), "aria-valuenow": String(settled),
    "aria-label": "partitions settled",
  }, part("succeeded", share - lost), part("failed", lost), part("rest", 1 - share));
  const words = planned > 0 ? `${count(settled)} of ${plural(planned, "partition", "partitions")} settled` : "planning";
  return h("div", { class: "coverage" }, bar, h("ul", { class: "coverage-key" }, h("li", {}, words), missing > 0 ? h("li", {}, `${count(missing)} missing`) : null));
}

function why(one) {
  const tries = one.attempts > 1 ? ` (after ${one.attempts} attempts)` : "";
  const failure = one.failure && one.failure.kind === one.slug ? one.failure : null;
  if (failure) return `${visible(failure.message)}${tries}`;
  if (one.slug && one.status === "timed_out") return `still running when it was cut off${tries}`;
  return tries.trim();
}

function missingState(one) {
  return one.status === "degraded" ? `degraded to ${percent(one.share)}` : statusWords(one.status);
}

// The missing partitions with their slugs; `open` is called with one that is chosen.
export function missingTable(coverage, open) {
  if (coverage.missing.length === 0 && coverage.required_missing.length === 0) return null;
  const required = coverage.required_missing.map((key) => visible(key, 120));
  const name = (one) => {
    const key = visible(one.key, 120);
    return open ? h("button", { type: "button", class: "link", onclick: () => open(one.index) }, key) : h("bdi", {}, key);
  };
  const row = (one) => [
    [name(one), required.includes(visible(one.key, 120)) ? h("span", { class: "tag" }, "required") : null],
    missingState(one),
    one.slug ? h("code", { class: "slug" }, one.slug) : "",
    why(one),
  ];
  const body = h("div", {});
  const draw = (limit) => {
    const shown = coverage.missing.slice(0, limit);
    const more = coverage.missing.length - shown.length;
    const omitted = coverage.missing_omitted > 0 ? `and ${count(coverage.missing_omitted)} more, which the account does not name` : "";
    body.replaceChildren(
      table(["partition", "state", "slug", "why"], shown.map(row), { label: "missing partitions" }),
      more > 0 ? h("button", { type: "button", class: "quiet", onclick: () => draw(coverage.missing.length) }, `show ${count(more)} more`) : "",
      more === 0 && omitted ? h("p", { class: "muted" }, omitted) : "",
    );
  };
  draw(LISTED);
  const lost = required.length > 0 ? h("p", { class: "is-bad" }, `required, but missing: ${required.join(", ")}`) : null;
  return h("div", { class: "missing" }, lost, coverage.missing.length > 0 ? body : null);
}

// Remarks on inputs: nothing is missing for them.
export function noteList(coverage) {
  const notes = coverage.notes ?? [];
  return notes.length > 0 ? h("ul", { class: "notes" }, notes.map((note) => h("li", {}, visible(note, 1000)))) : null;
}

// Where the time went, and what the leaves used.
export function timeFacts(coverage) {
  const { plan, gather, merge, reserve, leaf_used: used, leaf_wasted: wasted, leaf_waited: waited = 0 } = coverage.timings;
  const { started, retries, hedges, hedge_wins: wins, discarded, warm = 0, cuts = 0 } = coverage.attempts;
  const some = (number, one, many) => (number > 0 ? plural(number, one, many) : null);
  const attempts = [
    `${count(started)} started`, some(retries, "retry", "retries"), some(hedges, "hedge", "hedges"),
    some(wins, "hedge that won", "hedges that won"), some(discarded, "result discarded", "results discarded"),
    some(warm, "in a warm instance", "in warm instances"), some(cuts, "cut off from another", "cut off from others"),
  ];
  return [
    ["time", `plan ${millis(plan)} · gather ${millis(gather)} · merge ${millis(merge)} · reserve ${millis(reserve)}`],
    ["attempts", attempts.filter((part) => part).join(" · ")],
    ...unitFacts(coverage.units),
    ...workerFacts(coverage.workers),
    ["slot time", `used ${millis(used)} · wasted ${millis(wasted)}${waited > 0 ? ` · ${millis(waited)} waited without a slot` : ""}`],
  ];
}

// What became of partitions that were taken in parts: bytes, or integers of a range.
function unitFacts(units) {
  if (!units) return [];
  const kinds = [
    [units.taken, "taken"], [units.skipped, "skipped"], [units.lost, "lost"], [units.saved, "saved by a kept partial"],
    [units.redone, "run again"], [units.discarded, "discarded"],
  ];
  const words = kinds.filter(([number]) => number > 0).map(([number, what]) => `${count(number)} ${what}`);
  return [["units", `in parts: ${words.join(" · ")}`]];
}

// Which workers ran attempts, and what the loss of some cost.
function workerFacts(workers) {
  if (!workers) return [];
  const shares = workers.named.slice(0, 8).map(({ name, attempts }) => `${visible(name, 100)} ${count(attempts)}`);
  if (workers.omitted > 0) shares.push(`and ${count(workers.omitted)} more`);
  const words = [
    workers.lost > 0 ? `${count(workers.joined)} joined, ${count(workers.lost)} lost` : `${count(workers.joined)} joined`,
    plural(workers.attempts, "attempt", "attempts") + (shares.length > 0 ? `: ${shares.join(", ")}` : ""),
    workers.attempts_lost > 0 ? `${plural(workers.attempts_lost, "attempt", "attempts")} lost with them` : null,
    workers.units_redone > 0 ? `${plural(workers.units_redone, "unit", "units")} run again` : null,
  ];
  return [["workers", words.filter((part) => part).join(" · ")]];
}

// What all leaves used together.
export function usageWords(usage, big) {
  const parts = [`output ${bytes(usage.output)}`];
  if (usage.memory > 0) parts.unshift(`memory up to ${bytes(usage.memory)}`);
  if (usage.fuel > 0) parts.unshift(`fuel ${big(usage.fuel)}`);
  if (usage.log > 0) parts.push(`log ${bytes(usage.log)}`);
  return parts.join(" · ");
}

// A failed call, told so that its author can find out why: the frames, innermost first, and what it wrote.
export function failureDetails(failure) {
  const frames = failure.backtrace ?? [];
  const log = [...(failure.log ?? [])];
  while (log[0]?.trim() === "") log.shift();
  if (frames.length === 0 && log.length === 0) return null;
  return h("div", { class: "details" }, [
    frames.length > 0
      ? [h("h4", {}, "backtrace"), h("pre", {}, frames.slice(0, 40).map((frame, index) => `${String(index).padStart(3)}: ${visible(frame)}\n`))]
      : null,
    log.length > 0 ? [h("h4", {}, "log"), h("pre", { class: "log" }, log.slice(-200).map((line) => `${visibleLines(line)}\n`))] : null,
  ]);
}
