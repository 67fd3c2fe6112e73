//! One file that shows one recorded query, and needs nothing else: `frond explain --html`.

use std::fmt;

use crate::assets::FILES;
use crate::bundle::bundle;

/// The most bytes of events that one file holds. Browsers keep them as text twice as large, and some refuse much more.
pub const MAX_RECORDING: usize = 200 << 20;

/// The events are more than one file can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its events are more than the {} MiB that a page can show", MAX_RECORDING >> 20)
    }
}

impl std::error::Error for TooLarge {}

/// A self-contained file in the making: events go in, a page comes out.
#[derive(Debug)]
pub struct Standalone {
    title: String,
    events: String,
}

impl Standalone {
    /// A file without events, called `title`.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), events: String::new() }
    }

    /// Adds an event: one line of JSON.
    ///
    /// # Errors
    /// [`TooLarge`] when that would be more than [`MAX_RECORDING`].
    pub fn event(&mut self, json: &str) -> Result<(), TooLarge> {
        if self.events.len().saturating_add(json.len()) > MAX_RECORDING {
            return Err(TooLarge);
        }
        // In JSON, `<` only stands in strings: its escape means the same, and no `</script>` or `<!--` is left.
        for (index, part) in json.trim_end().split('<').enumerate() {
            if index > 0 {
                self.events.push_str("\\u003c");
            }
            self.events.push_str(part);
        }
        self.events.push('\n');
        Ok(())
    }

    /// The whole file.
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
        // Each place is filled once and in order: what was put in is never looked through for places.
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
