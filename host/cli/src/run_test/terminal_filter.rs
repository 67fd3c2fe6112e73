//! Filter for a guest's output to a terminal: line feeds, tabs and colours pass, and other control
//! characters are escaped.

use std::io::{self, Write};

use crate::show::text::sanitise;

/// Limit on the length of a colour sequence that passes, in bytes.
const MAX_SEQUENCE: usize = 32;

/// A writer to a terminal that escapes control characters.
pub(super) struct TerminalFilter<W: Write> {
    to: W,
    /// Bytes that may start a character or a sequence.
    pending: Vec<u8>,
}

impl<W: Write> TerminalFilter<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, pending: Vec::new() }
    }

    fn pass(&mut self, is_end: bool) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.pending);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match next(rest) {
                Next::Sequence(length) | Next::Plain(length) => {
                    let (plain, after) = rest.split_at(length);
                    self.to.write_all(plain)?;
                    rest = after;
                }
                Next::Shown(length) => {
                    let (hidden, after) = rest.split_at(length);
                    let text = String::from_utf8_lossy(hidden);
                    self.to.write_all(sanitise(&text, usize::MAX).as_bytes())?;
                    rest = after;
                }
                Next::Unknown if is_end => {
                    self.to.write_all(sanitise(&String::from_utf8_lossy(rest), usize::MAX).as_bytes())?;
                    rest = &[];
                }
                Next::Unknown => {
                    self.pending = rest.to_vec();
                    rest = &[];
                }
            }
        }
        Ok(())
    }
}

/// Next token of the output, with its length in bytes.
enum Next {
    /// Text that passes.
    Plain(usize),
    /// A colour sequence, which passes.
    Sequence(usize),
    /// Bytes that are escaped.
    Shown(usize),
    /// An incomplete token.
    Unknown,
}

fn next(bytes: &[u8]) -> Next {
    match bytes {
        [b'\n' | b'\t', ..] => Next::Plain(1),
        [b'\r', b'\n', ..] => Next::Plain(2),
        [b'\r'] | [0x1b] => Next::Unknown,
        [0x1b, b'[', rest @ ..] => sequence(rest),
        [first, ..] if first.is_ascii_control() => Next::Shown(1),
        [first, ..] if first.is_ascii() => {
            Next::Plain(bytes.iter().take_while(|byte| byte.is_ascii() && !byte.is_ascii_control()).count())
        }
        _ => character(bytes),
    }
}

fn sequence(rest: &[u8]) -> Next {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    match rest.get(length) {
        _ if length > MAX_SEQUENCE => Next::Shown(1),
        Some(b'm') => Next::Sequence(length + 3),
        Some(_) => Next::Shown(1),
        None => Next::Unknown,
    }
}

fn character(bytes: &[u8]) -> Next {
    let head = bytes.get(..4).unwrap_or(bytes);
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            let valid = head.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(error) => return error.error_len().map_or(Next::Unknown, Next::Shown),
    };
    Next::Shown(valid.chars().next().map_or(1, char::len_utf8))
}

impl<W: Write> Write for TerminalFilter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        self.pass(false)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Drop for TerminalFilter<W> {
    fn drop(&mut self) {
        // An error cannot be reported any more.
        let _ = self.pass(true).and_then(|()| self.to.flush());
    }
}

#[cfg(test)]
mod tests;
