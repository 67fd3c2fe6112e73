/** The failures of the contract, to be thrown. */

/** The query is wrong whatever the partition. */
export const invalidQuery = (reason) => failure("invalid-query", reason);

/** This partition's content is wrong. */
export const invalidPartition = (reason) => failure("invalid-partition", reason);

// A reason may quote what JavaScript takes for a string, and nobody else: half of a surrogate pair.
const failure = (tag, reason) => ({ tag, val: reason.toWellFormed() });
