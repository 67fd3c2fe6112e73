/** The merge: folds partials into one, and makes the answer of the last one. */

import { invalidPartition } from "./failure.js";
import { decode, encode } from "./text.js";

/** What is thrown and is no failure of the contract is a bug: the merge ends as `trap`. */
export const mergePartials = {
  /** Adds counts up. Partials arrive in any order, and what is merged may be merged again. */
  merge(query, partials) {
    return counted(partials.reduce((sum, partial) => sum + countOf(partial), 0));
  },

  /** The answer is the sum; without any partial, none. */
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
    // Told below, like everything else that is not a count.
  }
  throw invalidPartition("a partial is not a count");
}
