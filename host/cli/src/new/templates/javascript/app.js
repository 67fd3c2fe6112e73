/** Exports of the component: both roles in one component. */

export { processPartition } from "./leaf.js";
export { mergePartials } from "./merge.js";
