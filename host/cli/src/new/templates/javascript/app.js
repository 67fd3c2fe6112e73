/** What the component exports: both roles, in one component. */

export { processPartition } from "./leaf.js";
export { mergePartials } from "./merge.js";
