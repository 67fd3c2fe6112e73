/** The leaf: one partition in, one partial out. */

import { invalidQuery } from "./failure.js";
import { decode, encode } from "./text.js";

const NEWLINE = 10;

/** A thrown value that is no failure of the contract is a bug: the leaf fails with `trap`. */
export const processPartition = {
  /** Counts the long lines of one partition. */
  process(query, { data }) {
    const length = longerThan(query);
    let [count, begin] = [0, 0];
    while (begin <= data.length) {
      const found = data.indexOf(NEWLINE, begin);
      const end = found < 0 ? data.length : found;
      if (end - begin > length) count += 1;
      begin = end + 1;
    }
    return encode(JSON.stringify({ count }));
  },
};

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
