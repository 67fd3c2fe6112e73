/** The failures of the contract, to be thrown. */

/** The query is wrong whatever the partition. */
export const invalidQuery = (reason) => ({ tag: "invalid-query", val: reason });

/** This partition's content is wrong. */
export const invalidPartition = (reason) => ({ tag: "invalid-partition", val: reason });
