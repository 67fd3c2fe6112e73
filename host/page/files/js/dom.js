// Making elements. Text only ever becomes text: nothing here, or anywhere on the page, parses HTML.

// An element: attributes by name, `on…` listeners as functions, `style` as an object of properties.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    set(element, name, value);
  }
  element.append(...flat(children));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

// The same for SVG.
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...flat(children));
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "style") Object.entries(value).forEach(([key, one]) => element.style.setProperty(key, one));
  else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

function flat(children) {
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return wanted.map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

// Replaces what `element` holds, unless it is the same as before: a selection in it then stays.
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

const SHAPES = {
  good: ["M3 8.5 6.5 12 13 4.5"],
  warn: ["M8 2.5 14 13H2Z", "M8 6.5v3", "M8 11.3v.4"],
  bad: ["M4 4l8 8", "M12 4l-8 8"],
  busy: ["M8 2.5a5.5 5.5 0 1 1-5.5 5.5"],
  none: ["M4 8h8"],
  info: ["M8 7v5", "M8 4.2v.4"],
};

// A sign whose shape, not only its colour, says what it means.
export function sign(kind) {
  const paths = (SHAPES[kind] ?? SHAPES.none).map((d) => s("path", { d }));
  return s("svg", { class: `sign sign-${kind}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, paths);
}

// A word in a frame, with its sign.
export function badge(kind, text, title) {
  return h("span", { class: `badge badge-${kind}`, title }, sign(kind), text);
}

// A section with a heading.
export function panel(title, attributes, ...children) {
  return h("section", { class: "panel", ...attributes, "aria-label": title }, h("h2", {}, title), children);
}

// Terms and what they are.
export function facts(rows) {
  const wanted = rows.filter((row) => row && row[1] !== null && row[1] !== undefined);
  return h("dl", { class: "facts" }, wanted.map(([term, what]) => [h("dt", {}, term), h("dd", {}, what)]));
}

// A table from its heads and rows; heads with a leading `#` are of numbers.
export function table(heads, rows, attributes = {}) {
  const numeric = heads.map((head) => head.startsWith("#"));
  const cell = (content, index) => h("td", { class: numeric[index] ? "number" : null }, content);
  return h(
    "div",
    { class: "table" },
    h(
      "table",
      { "aria-label": attributes.label ?? null },
      h("thead", {}, h("tr", {}, heads.map((head, index) =>
        h("th", { scope: "col", class: numeric[index] ? "number" : null }, head.replace(/^#/, ""))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
    ),
  );
}

// A notice that takes the place of something, or stands beside it.
export function notice(kind, title, ...details) {
  const role = kind === "bad" ? "alert" : "status";
  return h("div", { class: `notice notice-${kind}`, role }, sign(kind), h("div", {}, h("strong", {}, title), details));
}

// A button that copies text, and says that it has.
export function copyButton(label, text) {
  const button = h("button", { type: "button", class: "quiet" }, label);
  button.addEventListener("click", async () => {
    const done = await copy(typeof text === "function" ? text() : text);
    button.textContent = done ? "copied" : "cannot copy";
    setTimeout(() => (button.textContent = label), 1500);
  });
  return button;
}

// The clipboard is only there on localhost and https; a selection works elsewhere.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "offscreen", value: text });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

// A button that is disabled while it acts, and then has the focus again, which a disabled button loses.
export function actButton(words, kind, does) {
  return h("button", { type: "button", class: kind, onclick: async ({ target }) => {
    target.disabled = true;
    await does();
    target.disabled = false;
    if (document.activeElement === document.body) target.focus({ preventScroll: true });
  } }, words);
}

// A button that asks back: it acts when it is pressed again within some seconds.
export function sureButton(words, question, kind, does) {
  let asked = null;
  const ask = () => {
    clearTimeout(asked);
    asked = setTimeout(() => { asked = null; one.textContent = words; }, 5000);
    one.textContent = question;
  };
  const one = actButton(words, kind, async () => (asked === null ? ask() : does()));
  return one;
}
