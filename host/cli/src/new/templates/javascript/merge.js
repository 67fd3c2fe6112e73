/** The merge: folds partials into one, and turns the last one into the answer. */

import { invalidPartition } from "./failure.js";
import { decode, encode } from "./text.js";

/** A thrown value that is no failure of the contract is a bug: the merge fails with `trap`. */
export const mergePartials = {
  /** Adds counts. Partials arrive in any order, and a merged partial may be merged again. */
  merge(query, partials) {
    return counted(partials.reduce((sum, partial) => sum + countOf(partial), 0));
  },

  /** Returns the sum as the answer; without any partial it is 0. */
  finish(query, merged, coverage) {
    return counted(merged === null ? 0 : countOf(merged));
  },
};

function counted(count) {
  return encode(JSON.stringify({ count }));
}

function countOf(partial) {
  try {
    const { count } = JSON.parse(decode(partial));
    if (Number.isSafeInteger(count)) return count;
  } catch {
    // Reported below, like any other value that is not a count.
  }
  throw invalidPartition("a partial is not a count");
}
