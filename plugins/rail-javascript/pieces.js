/**
 * The partition, piece by piece: idle slots may take the rest of a long one, and what is done survives a cut-off.
 *
 *     let count = 0;
 *     for (const line of lines(() => encoded(count))) count += 1;
 *     return encoded(count);
 *
 * The argument, `keep`, makes the partial of everything so far. It is called now and then: if the leaf is cut off
 * later, that partial counts, and only the rest is run again. A record belongs to the piece in which it begins, so it
 * comes exactly once, wherever the host cuts. The world must import `pieces` and `source`; the partition's `data` is
 * then empty.
 *
 * Process each record before asking for the next: the partial that is kept then must have all records so far. So do not
 * read this iterator ahead (in batches, as an array, into a queue); use `blocks` for many records at once. Call
 * `skipRest()` before you leave the loop early: without it, the piece in hand counts as processed to its end.
 */

import { keep as handOver, next, skipRest, unit } from "frond:plugin/pieces@0.1.1";
import { read, size } from "frond:plugin/source@0.1.1";

import { invalidPartition } from "./failure.js";
import { decode } from "./text.js";

export { skipRest };

const MOST = 1 << 20; // bytes of a read: 1 MiB is fastest
const STEP = 4 << 10; // bytes that are read beyond a block, to complete its last record

// A partial is kept after this many pieces, or a twentieth of a second, once this many bytes were processed for each
// byte of the last one.
const LEAST_PIECES = 16;
const BYTES_PER_BYTE = 16;
const PIECE_BYTES = 64 << 10; // bytes that a piece of integers counts as

/** Yields the lines that begin in this call's pieces, without their line feeds. */
export const lines = (keep) => records("\n", keep);

/** Yields the records that begin in this call's pieces, without the delimiter, which is one byte. */
export function* records(delimiter, keep) {
  const code = delimiter.charCodeAt(0);
  for (const { bytes } of blocks(delimiter, keep)) {
    const { buffer, byteOffset, length } = bytes;
    let begin = 0;
    for (let end = bytes.indexOf(code); end >= 0; end = bytes.indexOf(code, begin)) {
      yield new Uint8Array(buffer, byteOffset + begin, end - begin);
      begin = end + 1;
    }
    if (begin < length) yield bytes.subarray(begin);
  }
}

/** Yields the same records many at once, with their delimiters: bytes, and their offset in the partition. */
export function* blocks(delimiter, keep) {
  const code = delimiter.charCodeAt(0);
  let begin = null;
  for (const [start, end] of spans(keep)) {
    // The record that goes on here began in another piece.
    begin ??= start && start - 1 + through(code, start - 1, start - 1).length;
    while (begin < end) {
      const bytes = through(code, begin, Math.min(end, begin + MOST - STEP) - 1);
      if (bytes.length === 0) return;
      yield { offset: begin, bytes };
      begin += bytes.length;
    }
  }
}

/** Yields the bytes of this call's pieces, for content without records. */
export function* chunks(keep) {
  for (let [start, end] of spans(keep)) {
    while (start < end) {
      const bytes = read(start, Math.min(end - start, MOST));
      if (bytes.length === 0) return;
      yield bytes;
      start += bytes.length;
    }
  }
}

/** Yields the integers of this call's pieces, for partitions of a `range` source: from `start` to before `end`. */
export function* integers(keep) {
  if (unit() !== "integers") {
    throw invalidPartition(
      'its pieces count bytes, not integers\n(use a `range` source, or write the partition exactly as `{"start":0,"end":10}`)',
    );
  }
  const { start, end } = JSON.parse(decode(read(0, size())));
  if (start > end) throw invalidPartition(`the range ${start}..${end} ends before it starts`);
  if (![start, end].every(Number.isSafeInteger)) throw invalidPartition(`the range ${start}..${end} is not exact in JavaScript`);
  const kept = new Kept(keep);
  for (let piece = next(); piece; piece = next()) {
    yield { start: start + piece.begin, end: start + piece.end };
    kept.afterPiece(PIECE_BYTES);
  }
}

/** Yields the begin and the end of each piece in bytes, and keeps partials between pieces. */
function* spans(keep) {
  const kept = new Kept(keep);
  const isBytes = unit() === "bytes";
  let piece = next();
  // Where pieces count integers, the content belongs to the first one.
  if (!isBytes && !piece?.begin) yield [0, size()];
  while (piece) {
    if (isBytes) yield [piece.begin, piece.end];
    kept.afterPiece(piece.end - piece.begin);
    piece = next();
  }
}

/** The work since the last kept partial. */
class Kept {
  constructor(partial) {
    Object.assign(this, { partial, pieces: 0, bytes: 0, size: 0 });
  }

  /** Hands over a partial of all pieces so far, if they are worth it. */
  afterPiece(bytes) {
    this.pieces += 1;
    this.bytes += bytes;
    if (!this.partial || this.pieces < LEAST_PIECES || this.bytes < BYTES_PER_BYTE * this.size) return;
    const partial = this.partial();
    handOver(partial);
    Object.assign(this, { pieces: 0, bytes: 0, size: partial.length });
  }
}

/** Reads from `begin` to the end of the record that has the byte at `at`. */
function through(code, begin, at) {
  let part = read(begin, at - begin + STEP);
  let found = part.indexOf(code, at - begin);
  if (found >= 0) return part.subarray(0, found + 1);
  const parts = [];
  let size = 0;
  while (part.length > 0) {
    parts.push(part);
    size += part.length;
    if (found >= 0) break;
    // A record that is longer than usual.
    part = read(begin + size, Math.min(Math.max(STEP, size), MOST));
    found = part.indexOf(code);
    if (found >= 0) part = part.subarray(0, found + 1);
  }
  const bytes = new Uint8Array(size);
  let end = 0;
  for (const each of parts) {
    bytes.set(each, end);
    end += each.length;
  }
  return bytes;
}
