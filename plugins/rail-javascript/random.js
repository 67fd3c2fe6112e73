/**
 * `Math.random` from the host's randomness: different numbers in each call of the plugin; in a
 * deterministic app, numbers derived from the query and the partition. The engine's built-in
 * generator is seeded once, when the component is built. It only serves modules that draw while
 * they are loaded, when there is no host yet.
 */

import { getRandomBytes } from "wasi:random/random@0.2.6";

/** Number of words that one host call draws: a host call takes longer than drawing a number. */
const WORDS = 128;

const words = [];

function random() {
  if (words.length < 2) words.push(...new Uint32Array(getRandomBytes(4 * WORDS).buffer));
  const [high, low] = [words.pop() >>> 5, words.pop() >>> 6];
  return (high * 2 ** 26 + low) / 2 ** 53;
}

/** Replaces `Math.random`. The entry module calls it after all modules are loaded. */
export function drawFromTheHost() {
  Math.random = random;
}
