/** The leaf: one partition in, one partial out. */

import { invalidQuery } from "./failure.js";
import { lines } from "./pieces.js";
import { decode, encode } from "./text.js";

/** A thrown value that is no failure of the contract is a bug: the leaf fails with `trap`. */
export const processPartition = {
  /** Counts the long lines of one partition, piece by piece: idle slots may take the rest of a long one. */
  process(query, partition) {
    const length = prepared(query);
    let count = 0;
    // The partial of all lines so far, now and then. If the leaf is cut off later, it counts.
    const keep = () => counted(count);
    for (const line of lines(keep)) {
      if (line.length > length) count += 1;
    }
    return counted(count);
  },
};

function counted(count) {
  return encode(JSON.stringify({ count }));
}

/** State of the module, which lasts as long as the instance: the last query, and the length in it. */
let last = null;

/** Parses a query only once in an instance: what every partition needs goes here, such as a compiled pattern. */
function prepared(query) {
  const same = last !== null && last.query.length === query.length && query.every((byte, at) => byte === last.query[at]);
  if (!same) last = { query: query.slice(), length: longerThan(query) };
  return last.length;
}

/** Parses the query, such as {"longer-than": 20}: a length in bytes. */
function longerThan(query) {
  let fields;
  try {
    fields = JSON.parse(decode(query));
  } catch (error) {
    throw invalidQuery(error.message);
  }
  const { "longer-than": length, ...others } = Object(fields);
  if (!Number.isSafeInteger(length) || length < 0 || Object.keys(others).length > 0) {
    throw invalidQuery('a query is such as {"longer-than": 20}');
  }
  return length;
}
