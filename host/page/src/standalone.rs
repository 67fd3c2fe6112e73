//! Self-contained HTML file that shows one recorded query: `frond explain --html`.

use std::fmt;

use crate::assets::FILES;
use crate::bundle::bundle;

/// The most bytes of events in one file. Browsers store them as text of twice the size, and some
/// refuse much more.
pub const MAX_RECORDING: usize = 200 << 20;

/// Error: the events exceed [`MAX_RECORDING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its events are more than the {} MiB that a page can show", MAX_RECORDING >> 20)
    }
}

impl std::error::Error for TooLarge {}

/// Builder of a self-contained file: takes events, returns an HTML page.
#[derive(Debug)]
pub struct Standalone {
    title: String,
    events: String,
}

impl Standalone {
    /// A file without events and with this title.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), events: String::new() }
    }

    /// Adds an event: one line of JSON.
    ///
    /// # Errors
    /// [`TooLarge`] if the events would exceed [`MAX_RECORDING`].
    pub fn event(&mut self, json: &str) -> Result<(), TooLarge> {
        if self.events.len().saturating_add(json.len()) > MAX_RECORDING {
            return Err(TooLarge);
        }
        // In JSON, `<` occurs only in strings. Its escape is equivalent and leaves no `</script>`
        // or `<!--`.
        for (index, part) in json.trim_end().split('<').enumerate() {
            if index > 0 {
                self.events.push_str("\\u003c");
            }
            self.events.push_str(part);
        }
        self.events.push('\n');
        Ok(())
    }

    /// Returns the whole file.
    #[must_use]
    pub fn finish(&self) -> String {
        let style = ["base.css", "views.css", "waterfall.css"].map(text).concat();
        let script = bundle("js/explain.js");
        let parts = [
            ("{title}", escaped(&self.title)),
            ("{style}", style),
            ("{script}", script),
            ("{recording}", self.events.clone()),
        ];
        let mut page = String::with_capacity(self.events.len() + (256 << 10));
        // Each placeholder is replaced once and in order: inserted text is never searched for
        // placeholders.
        let mut rest = text("explain.html");
        for (place, content) in &parts {
            if let Some((before, after)) = rest.split_once(place) {
                page.push_str(before);
                page.push_str(content);
                rest = after;
            }
        }
        page.push_str(rest);
        page
    }
}

fn text(name: &str) -> &'static str {
    FILES.into_iter().find(|(known, ..)| *known == name).map_or("", |(.., text)| text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
