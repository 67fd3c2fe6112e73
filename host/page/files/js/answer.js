// An answer, whatever it is made of: JSON, text, or bytes.

import { copyButton, fill, h } from "./dom.js";
import { bytes, visibleLines } from "./format.js";

const SHOWN = 100_000;

// The text of an answer, as people read it; null for bytes that are none.
function textOf(answer) {
  if (typeof answer === "string") return answer;
  if (isBase64(answer)) return null;
  return JSON.stringify(answer, null, 2);
}

function isBase64(answer) {
  return typeof answer === "object" && answer !== null && Object.keys(answer).length === 1 && typeof answer.base64 === "string";
}

function blobOf(answer, type) {
  if (!isBase64(answer)) return new Blob([textOf(answer)], { type });
  const raw = atob(answer.base64);
  return new Blob([Uint8Array.from(raw, (char) => char.charCodeAt(0))], { type });
}

// Saves text or bytes as a file.
export function save(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// The answer with its buttons; `name` is what its file is called.
export function answerView(answer, { type = "application/octet-stream", name = "answer", partial = false } = {}) {
  const text = textOf(answer);
  const download = h("button", { type: "button", class: "quiet", onclick: () => save(name, blobOf(answer, type)) }, "save");
  if (text === null) {
    const size = Math.floor((answer.base64.length * 3) / 4);
    return h("div", { class: "answer" }, h("p", {}, `${bytes(size)} that are not text `, h("span", { class: "muted" }, type)), h("div", { class: "actions" }, download));
  }
  const pre = h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": partial ? "answer so far" : "answer" }, visibleLines(text.slice(0, SHOWN)));
  const more = h("button", { type: "button", class: "quiet", onclick: () => { fill(pre, visibleLines(text)); more.remove(); } }, `show all (${bytes(text.length)})`);
  const actions = h("div", { class: "actions" }, copyButton("copy", text), download, text.length > SHOWN ? more : null);
  return h("div", { class: "answer" }, pre, partial ? null : actions);
}
