//! Texts of guests, made safe to show: control and bidirectional characters are escaped, and every
//! text has a bound.

use std::fmt::{self, Write};

/// Most bytes of a guest's message in a failure.
const MAX_MESSAGE: usize = 4096;
/// Most characters of a guest's own text, such as a host name, inside a message.
const MAX_QUOTED: usize = 120;
/// Most characters of one name in a report.
const MAX_NAME: usize = 200;

/// Escapes and bounds text of a guest's, so that it is safe to show.
pub(crate) fn clip(text: &str) -> String {
    clean(text, MAX_MESSAGE)
}

/// Escapes and shortens a guest's own text for use in a message.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", clip(text.get(..end).unwrap_or_default())),
        None => clip(text),
    }
}

/// Escapes and shortens a foreign name, so that it is safe to print.
pub(crate) fn name(text: &str) -> String {
    let end = text.char_indices().nth(MAX_NAME).map_or(text.len(), |(end, _)| end);
    let short = clean(text.get(..end).unwrap_or_default(), usize::MAX).replace('\n', "\\n").replace('\t', "\\t");
    if end < text.len() { format!("{short}…") } else { short }
}

/// Escapes control characters and bidirectional controls, except line feeds and tabs, and cuts the
/// text to `most` bytes. The cut applies to the escaped text, as an escape can be six times as long
/// as its character. Text beyond the cut is never formatted: a demangled name can have a million
/// bytes.
pub(crate) fn clean(text: impl fmt::Display, most: usize) -> String {
    let mut clean = Clean { text: String::new(), most, is_cut: false };
    // An error means that the text was cut.
    let _ = write!(clean, "{text}");
    if clean.is_cut {
        clean.text.push('…');
    }
    clean.text
}

/// Writer that escapes text up to a maximum size.
struct Clean {
    text: String,
    most: usize,
    is_cut: bool,
}

impl fmt::Write for Clean {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let is_hidden = is_hidden(c);
            let len = if is_hidden { c.escape_default().len() } else { c.len_utf8() };
            if self.text.len() + len > self.most {
                self.is_cut = true;
                return Err(fmt::Error);
            }
            if is_hidden {
                self.text.extend(c.escape_default());
            } else {
                self.text.push(c);
            }
        }
        Ok(())
    }
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
