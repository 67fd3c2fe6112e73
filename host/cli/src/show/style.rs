//! Capabilities of the terminal: width, Unicode and colour.

use std::env;

use anstream::ColorChoice;

use crate::out;

/// Line width when the terminal's width is unknown.
pub const PIPED_WIDTH: usize = 100;
/// Smallest line width; a narrower terminal gets lines of this width.
pub const MIN_WIDTH: usize = 20;
/// Largest line width, for legibility.
pub const MAX_WIDTH: usize = 240;

/// Capabilities that text is laid out for. Views are functions of it, so they can be tested without
/// a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermStyle {
    /// Columns in a line, at least [`MIN_WIDTH`].
    pub width: usize,
    /// If false, characters outside ASCII are replaced or escaped.
    pub unicode: bool,
    /// If true, tones are coloured. The words carry the meaning in any case.
    pub colour: bool,
}

impl TermStyle {
    /// Returns Unicode without colour, `width` columns wide.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self { width: width.clamp(MIN_WIDTH, MAX_WIDTH), unicode: true, colour: false }
    }

    /// Returns the capabilities of stderr.
    #[must_use]
    pub fn stderr() -> Self {
        let (choice, size) = out::stderr_look();
        Self::detect(choice, size)
    }

    /// Returns the capabilities of stdout.
    #[must_use]
    pub fn stdout() -> Self {
        let (choice, size) = out::stdout_look();
        Self::detect(choice, size)
    }

    fn detect(choice: ColorChoice, size: Option<(terminal_size::Width, terminal_size::Height)>) -> Self {
        let columns = env::var("COLUMNS").ok();
        let terminal = size.map(|(width, _)| usize::from(width.0));
        Self {
            width: width(columns.as_deref(), terminal),
            unicode: is_utf8(|name| env::var(name).ok()),
            colour: choice != ColorChoice::Never,
        }
    }
}

/// Returns true if stderr is a terminal on which lines can be redrawn.
#[must_use]
pub fn stderr_is_drawable() -> bool {
    out::stderr_is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn width(columns: Option<&str>, terminal: Option<usize>) -> usize {
    columns
        .and_then(|text| text.trim().parse().ok())
        .filter(|columns| *columns > 0)
        .or(terminal)
        .unwrap_or(PIPED_WIDTH)
        .clamp(MIN_WIDTH, MAX_WIDTH)
}

/// Determines the character set in the order of POSIX (Base Definitions, 8.2): by the first
/// variable that is set and not empty.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    if cfg!(windows) {
        return true;
    }
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

#[cfg(test)]
mod tests;
