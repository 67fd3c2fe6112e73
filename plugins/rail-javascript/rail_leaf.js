/**
 * The leaf of examples/rail in JavaScript: finds the stations of one region with a direct train from London within a
 * budget.
 *
 * It returns the same bytes as plugins/rail-leaf, which documents the fields.
 */

import clock from "wasi:clocks/monotonic-clock@0.2.6";

import { invalidPartition, invalidQuery } from "./failure.js";
import { parseQuery } from "./query.js";
import { kmFromCharingCross, parseTable } from "./service.js";
import { decode, encode } from "./text.js";

/** The interface `process-partition`. Any exception but the contract's failures is a bug: the leaf fails as `trap`. */
export const processPartition = {
  process(query, partition) {
    const asked = parseQuery(query);
    if (asked.stall === partition.key) stall();
    const destinations = parseTable(tableOf(partition))
      .filter((service) => fits(asked, service))
      .map((service) => found(partition.key, service));
    return encode(JSON.stringify({ regions: [partition.key], destinations }));
  },
};

function tableOf(partition) {
  try {
    return decode(partition.data);
  } catch {
    throw invalidPartition(`partition ${partition.key} is not text`);
  }
}

function fits(asked, service) {
  const inTime = asked.arriveBy === null || asked.depart + service.minutes <= asked.arriveBy;
  return service.pence <= asked.budget * 100 && inTime;
}

function found(region, { station, crs, lat, long, terminal, operator, minutes, pence }) {
  return { station, crs, region, operator, terminal, minutes, pence, km: kmFromCharingCross(lat, long) };
}

/** Never returns. It sleeps rather than spins: a spinning leaf may run out of fuel before its deadline. */
function stall() {
  const hour = 3600e9; // in nanoseconds
  for (;;) clock.subscribeDuration(hour).block();
}
