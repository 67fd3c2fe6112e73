//! What `host/fuzz` does with any bytes, and the tests here with bytes that are almost valid: nothing that stands in a
//! recording brings `frond explain` down, or gets past it to the terminal.

use std::io::Cursor;

use crate::explain::Sheet;
use crate::record::read_from;
use crate::show::explain::explain;
use crate::show::model::Builder;
use crate::show::style::TermStyle;

/// Bytes as a recording, explained in the terminal and as a page.
pub fn recording(bytes: &[u8]) {
    let (mut builder, mut sheet) = (Builder::default(), Sheet::default());
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
    // What was read before it went wrong can be shown.
    let _ = sheet.finish();
}

#[cfg(test)]
mod tests;
