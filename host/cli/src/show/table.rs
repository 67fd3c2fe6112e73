//! Tables of text: columns as wide as their widest cell.

use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::text;

/// A table with `N` columns, of which some are aligned to the right.
pub(crate) struct Table<const N: usize> {
    head: [&'static str; N],
    right: [bool; N],
    rows: Vec<(Tone, [String; N])>,
}

impl<const N: usize> Table<N> {
    /// An empty table.
    pub(crate) fn new(head: [&'static str; N], right: [bool; N]) -> Self {
        Self { head, right, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, tone: Tone, cells: [String; N]) {
        self.rows.push((tone, cells));
    }

    /// Renders the table; an empty one is an empty text.
    pub(crate) fn render(self, style: TermStyle) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut page = Page::new(style);
        let head = self.head.map(str::to_owned);
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = std::iter::once(&head).chain(self.rows.iter().map(|(_, cells)| cells));
            cells.filter_map(|row| row.get(column)).map(|cell| text::columns(cell)).max().unwrap_or(0)
        });
        let line = |row: &[String; N]| {
            let cells = row.iter().zip(widths).zip(self.right);
            let padded = cells.map(
                |((cell, width), is_right)| {
                    if is_right { text::pad_left(cell, width) } else { text::pad(cell, width) }
                },
            );
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        page.line(Line::new().tone(Tone::Dim, line(&head)));
        for (tone, row) in &self.rows {
            page.line(Line::new().tone(*tone, line(row)));
        }
        page.into_text()
    }
}
