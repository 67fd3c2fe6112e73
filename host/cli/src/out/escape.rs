//! Escapes for answers on a terminal: a guest's bytes must not move the cursor, nor hide or reorder
//! text. Pipes and files get the exact bytes.

use std::fmt::Write as _;

use crate::show::text::is_unsafe;

/// Escapes control characters piece by piece. The escapes are those of JSON, so that JSON keeps its
/// meaning.
#[derive(Default)]
pub(super) struct Escaper {
    /// The bytes that the next piece may complete: the start of a character, or of a CR LF.
    rest: Vec<u8>,
}

impl Escaper {
    /// Returns the escaped text of all complete characters up to the end of this piece.
    pub(super) fn feed(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let whole = bytes.len() - unfinished(&bytes);
        self.rest = bytes.split_off(whole);
        escape(&bytes)
    }

    /// Returns the escaped text of the remaining bytes.
    pub(super) fn finish(&mut self) -> String {
        escape(&std::mem::take(&mut self.rest))
    }
}

/// Returns the number of bytes at the end that may start a character or a CR LF.
fn unfinished(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let Some(last) = bytes.utf8_chunks().last().map(|chunk| chunk.invalid()) else { return 0 };
    let is_begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    if is_begun { last.len() } else { 0 }
}

fn escape(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut chars = chunk.valid().chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' | '\t' => safe.push(c),
                // A carriage return alone would let the rest of the line overwrite its beginning.
                '\r' if chars.peek() == Some(&'\n') => safe.push(c),
                _ if is_unsafe(c) => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    // Writing to a string cannot fail.
                    let _ = write!(safe, "\\u{unit:04x}");
                }),
                _ => safe.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(pieces: &[&[u8]]) -> String {
        let mut escaper = Escaper::default();
        let mut all: String = pieces.iter().map(|piece| escaper.feed(piece)).collect();
        all.push_str(&escaper.finish());
        all
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        let cases: [(&[u8], &str); 8] = [
            (b"plain\n\ttext\r\n", "plain\n\ttext\r\n"),
            (b"\x1b[2J\x07\x7f", "\\u001b[2J\\u0007\\u007f"),
            ("a\u{202e}b\u{9b}31m".as_bytes(), "a\\u202eb\\u009b31m"),
            ("\u{e0041}".as_bytes(), "\\udb40\\udc41"),
            ("gr\u{fc}\u{df}e \u{1f600}".as_bytes(), "gr\u{fc}\u{df}e \u{1f600}"),
            (b"real\rfake", "real\\u000dfake"),
            (b"\x9b31m\xff", "\\x9b31m\\xff"),
            (b"end\r", "end\\u000d"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(escaped(&[bytes]), shown);
        }
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let text = "a\u{202e}\u{1f600}\r\nb\r\u{9b}\n".as_bytes();
        let whole = escaped(&[text]);
        for at in 0..=text.len() {
            let (begin, end) = text.split_at(at);
            assert_eq!(escaped(&[begin, end]), whole, "{at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(escaped(&bytes), whole);
        assert_eq!(escaped(&[b"\xe2\x80"]), "\\xe2\\x80");
    }

    #[test]
    fn json_stays_what_it_is() {
        let json = serde_json::json!({"text": "a\u{202e}\u{e0041}\u{7f}\u{1b}"});
        let shown = escaped(&[json.to_string().as_bytes()]);
        assert_ne!(shown, json.to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
    }
}
