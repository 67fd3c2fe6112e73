//! Safe text for the terminal: a page escapes, colours and wraps text, and keeps lines within the
//! width.

use anstyle::{AnsiColor, Effects, Style};

use super::style::TermStyle;
use super::text;

/// Meaning of a piece of a line. A colour repeats what the words say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// Text of less importance.
    Dim,
    /// A complete result.
    Good,
    /// An incomplete result.
    Warn,
    /// A failure.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().effects(Effects::BOLD),
            Self::Dim => Style::new().effects(Effects::DIMMED),
            Self::Good => colour(AnsiColor::Green),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
        }
    }
}

/// A line of text pieces with tones.
#[derive(Clone, Debug, Default)]
pub struct Line {
    spans: Vec<(Tone, String)>,
}

impl Line {
    /// Returns an empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends plain `text`.
    #[must_use]
    pub fn put(self, text: impl Into<String>) -> Self {
        self.tone(Tone::Plain, text)
    }

    /// Appends `text` with a tone.
    #[must_use]
    pub fn tone(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.spans.push((tone, text.into()));
        self
    }
}

/// Text that is safe to print, line by line.
#[derive(Debug)]
pub struct Page {
    style: TermStyle,
    text: String,
}

impl Page {
    /// Returns an empty page.
    #[must_use]
    pub fn new(style: TermStyle) -> Self {
        Self { style, text: String::new() }
    }

    /// Returns the width of a line, in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.style.width
    }

    /// Returns foreign text in its printed form: escaped, of at most `limit` characters, in the
    /// terminal's character set. Measure this form for alignment.
    #[must_use]
    pub fn foreign(&self, foreign: &str, limit: usize) -> String {
        let safe = text::sanitise(foreign, limit);
        if self.style.unicode { safe } else { text::ascii(&safe).into_owned() }
    }

    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Adds one line. A line that is too long is cut off with a `…`.
    pub fn line(&mut self, line: Line) {
        let mut used = 0;
        for (tone, raw) in line.spans {
            let room = self.style.width.saturating_sub(used);
            let span = self.foreign(&raw, self.style.width * 4);
            let cut = self.cut(&span, room);
            used += text::columns(&cut);
            self.paint(tone, &cut);
            if cut != span {
                break;
            }
        }
        self.trim_end();
        self.text.push('\n');
    }

    /// Adds a line that wraps, with continuation lines indented by `indent` columns.
    pub fn wrapped(&mut self, indent: usize, line: Line) {
        let indent = indent.min(self.style.width / 2);
        let mut row = Line::new();
        let mut used = 0;
        for (tone, raw) in line.spans {
            let span = self.foreign(&raw, raw.len().saturating_mul(10));
            for word in span.split_inclusive(' ') {
                for piece in self.pieces(word, self.style.width - indent) {
                    let wide = text::columns(&piece);
                    if used + text::columns(piece.trim_end()) > self.style.width && used > indent {
                        self.line(std::mem::take(&mut row));
                        row = Line::new().put(" ".repeat(indent));
                        used = indent;
                    }
                    // A space at the end of a line needs no room.
                    let fits = used + wide <= self.style.width;
                    used += wide;
                    row = row.tone(tone, if fits { piece.as_str() } else { piece.trim_end() });
                }
            }
        }
        self.line(row);
    }

    /// Returns the text of the page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// Splits a word that is wider than `width` columns.
    fn pieces(&self, word: &str, width: usize) -> Vec<String> {
        if text::columns(word.trim_end()) <= width {
            return vec![word.to_owned()];
        }
        let mut pieces = vec![String::new()];
        for char in word.chars() {
            if let Some(last) = pieces.last_mut() {
                last.push(char);
                if text::columns(last) > width && last.pop().is_some() {
                    pieces.push(char.to_string());
                }
            }
        }
        pieces
    }

    fn cut(&self, span: &str, room: usize) -> String {
        if text::columns(span) <= room {
            return span.to_owned();
        }
        let more = if self.style.unicode { '…' } else { '~' };
        let mut cut = String::new();
        for char in span.chars() {
            cut.push(char);
            if text::columns(&cut) >= room {
                break;
            }
        }
        while text::columns(&cut) >= room && cut.pop().is_some() {}
        if room > 0 {
            cut.push(more);
        }
        cut
    }

    fn paint(&mut self, tone: Tone, text: &str) {
        if self.style.colour && tone != Tone::Plain && !text.trim().is_empty() {
            let style = tone.style();
            self.text.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.text.push_str(text);
        }
    }

    fn trim_end(&mut self) {
        let len = self.text.trim_end_matches(' ').len();
        self.text.truncate(len);
    }
}

#[cfg(test)]
mod tests;
