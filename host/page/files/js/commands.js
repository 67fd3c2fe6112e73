// A query as a command line: for curl, and for frond itself.

// A word in quotes: what a shell gets is what stands here, whatever it is. Characters that a terminal would act on when the
// command is pasted are spelled, in the quotes that bash, zsh, ksh and POSIX 2024 have for that.
export function quoted(word) {
  const acts = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;
  if (!acts.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  const spelled = (sign) => {
    const code = sign.codePointAt(0);
    return code < 0x80 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  };
  return `$'${word.replace(/[\\']/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replace(acts, spelled)}'`;
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

// For curl; the token is left for the shell to fill in. `--data-raw` takes a query that begins with `@` as it is.
export function asCurl(asking, withToken = sessionStorage.getItem("frond-token") !== null) {
  const url = new URL(apiPath(asking), new URL(".", document.baseURI)).href;
  const token = withToken ? ' -H "Authorization: Bearer $FROND_TOKEN"' : "";
  return `curl -sS -D /dev/stderr${token} --data-raw ${quoted(asking.body)} -- ${quoted(url)}`;
}

// For frond's own command line, which asks the app's folder. What follows `--` is no option, however it begins; a query that
// would name a file, or stdin, comes from stdin itself.
export function asCli({ app, body, deadline, floor, require }) {
  const options = [];
  if (deadline) options.push(`--deadline=${quoted(deadline)}`);
  if (floor) options.push(`--floor=${quoted(floor)}`);
  for (const key of require ?? []) options.push(`--require=${quoted(key)}`);
  const isNamed = body.startsWith("@") || body === "-";
  const words = ["frond query", ...options, "--", quoted(app), isNamed ? "-" : quoted(body)].join(" ");
  return isNamed ? `printf %s ${quoted(body)} | ${words}` : words;
}
