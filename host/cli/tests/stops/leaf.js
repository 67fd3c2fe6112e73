/** A leaf that fails as its query says, for the snapshots of the reports that its author gets. */

import control from "frond:plugin/control@0.1.1";

import { invalidPartition, invalidQuery } from "./failure.js";
import { decode } from "./text.js";

/** Runs the command of the query. */
export const processPartition = {
  process(query, partition) {
    return COMMANDS[decode(query)](partition);
  },
};

const COMMANDS = {
  throw: ({ key }) => rowOf({ a: 1 }, key),
  "throw-long"() {
    throw new Error("x".repeat(1000));
  },
  "throw-text"() {
    throw "no rows";
  },
  "throw-object"() {
    throw { tag: "no-such-case", val: 3 };
  },
  recurse: () => deeper(0),
  spin() {
    for (;;);
  },
  grow() {
    const held = [];
    for (;;) held.push(new Uint8Array(1 << 20));
  },
  "huge-output": () => new Uint8Array(5 << 20),
  "huge-emit"() {
    control.emitPartial(new Uint8Array(5 << 20), 0.5);
  },
  "wrong-type": () => "text and not bytes",
  "call-forever"() {
    for (;;) control.remainingMs();
  },
  "use-console"() {
    console.log("there is none");
  },
  "invalid-query"() {
    throw invalidQuery("no such station");
  },
  "invalid-partition"() {
    throw invalidPartition("line 3 has no price");
  },
  unavailable() {
    throw { tag: "unavailable", val: "the fares are being updated" };
  },
};

function rowOf(rows, key) {
  return encodeRow(rows[key]);
}

function encodeRow(row) {
  return row.bytes();
}

function deeper(depth) {
  return 1 + deeper(depth + 1);
}
