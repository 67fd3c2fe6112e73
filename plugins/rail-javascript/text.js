/** Text and its bytes: the engine, QuickJS, has neither TextDecoder nor TextEncoder, but the old functions for URIs. */

/** More arguments than this are too many for one call. */
const PIECE = 4096;

/** The text of UTF-8 bytes. Throws a URIError for bytes that are none. */
export function decode(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += PIECE) {
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + PIECE)));
  }
  return decodeURIComponent(escape(pieces.join("")));
}

/** The UTF-8 bytes of a text. Throws a URIError for half of a surrogate pair. */
export function encode(text) {
  const binary = unescape(encodeURIComponent(text));
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
