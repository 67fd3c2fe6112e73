/**
 * `Math.random` from the host's randomness: other numbers in each call of the plugin, and in an app that is deterministic
 * those that its query and partition give. The engine's own generator is seeded once, as the component is built; it serves
 * only modules that draw while they are loaded, when there is no host yet.
 */

import { getRandomBytes } from "wasi:random/random@0.2.6";

/** Drawn at once: asking the host takes longer than a number does. */
const WORDS = 128;

const words = [];

function random() {
  if (words.length < 2) words.push(...new Uint32Array(getRandomBytes(4 * WORDS).buffer));
  const [high, low] = [words.pop() >>> 5, words.pop() >>> 6];
  return (high * 2 ** 26 + low) / 2 ** 53;
}

/** Called once all modules are loaded. */
export function drawFromTheHost() {
  Math.random = random;
}
