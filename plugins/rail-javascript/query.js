/** What the client asks. */

import { invalidQuery } from "./failure.js";
import { decode } from "./text.js";

const FIELDS = ["from", "budget", "depart", "arrive-by", "stall"];
const CLOCK = /^([01][0-9]|2[0-3]):([0-5][0-9])$/;

/** Reads a query as strictly as the leaf in Rust does. Times are minutes since midnight. Throws `invalid-query`. */
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

/** The members of a JSON object, with NaN for every number that is not written as a whole one. */
function object(bytes) {
  let text, fields;
  try {
    text = decode(bytes);
    fields = JSON.parse(text, (_, value, { source }) =>
      typeof value === "number" && !/^[0-9]+$/.test(source) ? NaN : value,
    );
  } catch (error) {
    throw invalidQuery(error.message);
  }
  if (fields === null || typeof fields !== "object" || Array.isArray(fields)) {
    throw invalidQuery("the query is not a JSON object");
  }
  // Of several members with one name JSON.parse takes the last. In an object without others in it, the strings that are
  // followed by a colon are the names.
  const names = [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter((string) => string[1]);
  const flat = Object.values(fields).every((value) => value === null || typeof value !== "object");
  if (flat && names.length > Object.keys(fields).length) throw invalidQuery("duplicate field");
  return fields;
}

function budget(value) {
  if (!Number.isInteger(value) || value >= 2 ** 32) {
    throw invalidQuery(`budget \`${value}\` is not a whole number of pounds`);
  }
  return value;
}

function string(value) {
  // JSON.parse lets half of a surrogate pair pass.
  if (typeof value !== "string" || !value.isWellFormed()) throw invalidQuery(`${value} is not a string`);
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
