/** The leaf of plugins/readers in JavaScript: reports what each reader of pieces.js gives it. */

import { blocks, chunks, integers, records } from "./pieces.js";
import { decode, encode } from "./text.js";

/** The interface `process-partition`. */
export const processPartition = {
  /** Runs the reader that the query names. */
  process(query) {
    const [reader, delimiter] = decode(query);
    const found = [];
    const keep = () => joined(found);
    if (reader === "r") for (const record of records(delimiter, keep)) found.push(encode(`${record.length}\n`), record);
    if (reader === "b") {
      for (const { offset, bytes } of blocks(delimiter, keep)) found.push(encode(`${offset} ${bytes.length}\n`), bytes);
    }
    if (reader === "c") for (const chunk of chunks(keep)) found.push(encode(`${chunk.length}\n`), chunk);
    if (reader === "i") for (const { start, end } of integers(keep)) found.push(encode(`${start} ${end}\n`));
    return joined(found);
  },
};

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
