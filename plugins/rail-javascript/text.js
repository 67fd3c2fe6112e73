/**
 * Text and its bytes. The engine, QuickJS, has neither TextDecoder nor TextEncoder; but it has the old functions for URIs,
 * which know UTF-8, and those for base64, which know bytes. A loop over the bytes would take ten times as long.
 */

/** The text of UTF-8 bytes. Throws a URIError for bytes that are none. */
export const decode = (bytes) => decodeURIComponent(escape(atob(bytes.toBase64())));

/** The UTF-8 bytes of a text. Throws a URIError for half of a surrogate pair. */
export const encode = (text) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));
