// Views by URL: `#/console/rail?deadline=500ms`. The part behind the `#` never reaches the server.

const VIEWS = ["apps", "console", "queries", "jobs", "workers"];

// The view that a hash names: its name, what follows in the path, and its parameters.
export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const parts = path.split("/").filter((part) => part !== "").map(decoded);
  const [name = "apps", ...rest] = parts;
  return { name: VIEWS.includes(name) ? name : "unknown", rest, params: new URLSearchParams(search) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// The hash of a view.
export function href(parts, params = {}) {
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) {
      if (one !== null && one !== undefined && one !== "") search.append(name, one);
    }
  }
  const text = search.toString();
  return text ? `#/${path}?${text}` : `#/${path}`;
}

// Writes what a view shows into the URL, without leaving the view.
export function note(parts, params) {
  history.replaceState(null, "", href(parts, params));
}

// Calls `show` with the view that the URL names, now and whenever that changes.
export function route(show) {
  addEventListener("hashchange", () => show(parse(location.hash)));
  show(parse(location.hash));
}
