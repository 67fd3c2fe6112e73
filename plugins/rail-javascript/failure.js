/** The failures of the contract, for `throw`. */

/** Makes the failure of a query that is wrong for every partition. */
export const invalidQuery = (reason) => failure("invalid-query", reason);

/** Makes the failure of a partition with wrong content. */
export const invalidPartition = (reason) => failure("invalid-partition", reason);

// A reason may quote half of a surrogate pair, which is valid in a string of JavaScript, but not in
// UTF-8.
const failure = (tag, reason) => ({ tag, val: reason.toWellFormed() });
