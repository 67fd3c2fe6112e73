/**
 * Conversion between text and UTF-8. The engine, QuickJS, has neither TextDecoder nor TextEncoder,
 * but it has the legacy functions for URIs, which handle UTF-8, and those for base64, which handle
 * bytes. A loop over the bytes would take ten times as long.
 */

/** Decodes UTF-8. Throws a URIError for bytes that are not UTF-8. */
export const decode = (bytes) => decodeURIComponent(escape(atob(bytes.toBase64())));

/** Encodes a text as UTF-8. Throws a URIError for half of a surrogate pair. */
export const encode = (text) => Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text))));
