//! Entry point for `host/fuzz` and its tests here: no recording crashes `frond explain` or gets
//! control characters through to the terminal.

use std::io::Cursor;

use crate::explain::Sheet;
use crate::record::read_from;
use crate::show::explain::explain;
use crate::show::model::build::Builder;
use crate::show::style::TermStyle;

/// Reads bytes as a recording and explains it in the terminal and as a page.
pub fn recording(bytes: &[u8]) {
    let mut builder = Builder::default();
    let mut sheet = Sheet::default();
    let ending = read_from(Cursor::new(bytes), "fuzzed", |event| {
        builder.take(&event);
        sheet.take(&event);
    });
    match ending {
        Ok(ending) => {
            let text = explain(&builder.build(), ending, TermStyle::plain(80));
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().contains(|c: char| c.is_control() && c != '\n'), "{error}"),
    }
    // The events before an error still give a page.
    let _ = sheet.finish();
}

#[cfg(test)]
mod tests;
