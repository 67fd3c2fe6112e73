// A query as a command line: for curl, and for frond itself.

// A word that a POSIX shell takes as it stands.
export function quoted(word) {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

// The path and parameters of the API for what is asked.
export function apiPath({ app, deadline, floor, require }) {
  const params = new URLSearchParams();
  if (deadline) params.set("deadline", deadline);
  if (floor) params.set("floor", floor);
  for (const key of require ?? []) params.append("require", key);
  const text = params.toString();
  return `v1/apps/${encodeURIComponent(app)}/query${text ? `?${text}` : ""}`;
}

// The same for a job, which has no deadline.
export function jobPath(asking) {
  return apiPath({ ...asking, deadline: "" }).replace(/\/query(?=$|\?)/, "/jobs");
}

// For curl; the token is left for the shell to fill in.
export function asCurl(asking, withToken = sessionStorage.getItem("frond-token") !== null) {
  const url = new URL(apiPath(asking), new URL(".", document.baseURI)).href;
  const token = withToken ? ' -H "Authorization: Bearer $FROND_TOKEN"' : "";
  return `curl -sS -D /dev/stderr${token} --data-binary ${quoted(asking.body)} ${quoted(url)}`;
}

// For frond's own command line, which asks the app's folder.
export function asCli({ app, body, deadline, floor, require }) {
  const words = ["frond", "query", app, body];
  if (deadline) words.push("--deadline", deadline);
  if (floor) words.push("--floor", floor);
  for (const key of require ?? []) words.push("--require", key);
  return words.map(quoted).join(" ");
}
