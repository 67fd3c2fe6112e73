/** The client's query. */

import { invalidQuery } from "./failure.js";
import { decode } from "./text.js";

const FIELDS = ["from", "budget", "depart", "arrive-by", "stall"];
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/gs;
const WHOLE = /^[0-9]+$/;
const CLOCK = /^([01][0-9]|2[0-3]):([0-5][0-9])$/;

/** Parses a query as strictly as the leaf in Rust does. Times are minutes since midnight. Throws `invalid-query`. */
export function parseQuery(bytes) {
  const fields = object(bytes);
  for (const name of Object.keys(fields)) {
    if (!FIELDS.includes(name)) throw invalidQuery(`unknown field \`${name}\`, expected one of ${FIELDS.join(", ")}`);
  }
  for (const name of ["from", "budget"]) {
    if (!(name in fields)) throw invalidQuery(`missing field \`${name}\``);
  }
  if (fields.from !== "London") throw invalidQuery(`unknown variant \`${fields.from}\`, expected \`London\``);
  const query = {
    budget: budget(fields.budget),
    depart: "depart" in fields ? clock(fields.depart) : 9 * 60,
    arriveBy: optional(clock, fields["arrive-by"]),
    stall: optional(string, fields.stall),
  };
  if (query.arriveBy !== null && query.arriveBy <= query.depart) {
    throw invalidQuery("arrive-by is not later than depart");
  }
  return query;
}

/** Parses a JSON object. A number that is not written as an integer becomes NaN. */
function object(bytes) {
  let text;
  try {
    text = decode(bytes);
  } catch {
    throw invalidQuery("the query is not text");
  }
  const bare = text.replace(STRING, "");
  // Deep nesting would overflow the interpreter's stack. That cannot be caught here: the leaf would
  // fail as `trap`.
  if (count(bare, /[[{]/g) > 1) throw invalidQuery("a query has no lists and objects in it");
  const fields = json(text);
  if (fields === null || typeof fields !== "object" || Array.isArray(fields)) {
    throw invalidQuery("the query is not a JSON object");
  }
  // JSON.parse keeps the last of several members with one name, so duplicates are found by their
  // colons.
  if (count(bare, /:/g) > Object.keys(fields).length) throw invalidQuery("duplicate field");
  return fields;
}

function json(text) {
  const whole = (_, value, { source }) => (typeof value === "number" && !WHOLE.test(source) ? NaN : value);
  try {
    return JSON.parse(text, whole);
  } catch (error) {
    throw invalidQuery(error.message);
  }
}

function count(text, pattern) {
  return (text.match(pattern) ?? []).length;
}

function budget(value) {
  if (!Number.isInteger(value) || value >= 2 ** 32) {
    throw invalidQuery(`budget \`${value}\` is not a whole number of pounds`);
  }
  return value;
}

function string(value) {
  if (typeof value !== "string") throw invalidQuery(`\`${value}\` is not a string`);
  // JSON.parse accepts half of a surrogate pair.
  if (!value.isWellFormed()) throw invalidQuery("a string has half of a surrogate pair in it");
  return value;
}

function clock(value) {
  const match = CLOCK.exec(string(value));
  if (!match) throw invalidQuery(`\`${value}\` is not a time of day such as 09:00`);
  return Number(match[1]) * 60 + Number(match[2]);
}

function optional(read, value) {
  return value === undefined || value === null ? null : read(value);
}
