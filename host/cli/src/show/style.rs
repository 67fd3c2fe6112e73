//! What the terminal can show: its width, whether it has Unicode and colour.

use std::env;

use anstream::ColorChoice;

use crate::out;

/// The width of a line when nothing says how wide the terminal is.
pub const PIPED_WIDTH: usize = 100;
/// Narrower than this, nothing is legible: lines are laid out for this width all the same.
pub const MIN_WIDTH: usize = 20;
/// Wider than this, the eye no longer finds the end of a line.
pub const MAX_WIDTH: usize = 240;

/// How text is to look. Views are functions of this, so that they can be tested without a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermStyle {
    /// Columns in a line, at least [`MIN_WIDTH`].
    pub width: usize,
    /// False: everything outside ASCII is replaced or spelled out.
    pub unicode: bool,
    /// True: tones are coloured. Words carry the meaning in any case.
    pub colour: bool,
}

impl TermStyle {
    /// Black and white Unicode, `width` columns wide.
    #[must_use]
    pub fn plain(width: usize) -> Self {
        Self { width: width.clamp(MIN_WIDTH, MAX_WIDTH), unicode: true, colour: false }
    }

    /// What stderr can show.
    #[must_use]
    pub fn stderr() -> Self {
        let (choice, size) = out::stderr_look();
        Self::detect(choice, size)
    }

    /// What stdout can show.
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

/// True when stderr is a terminal on which lines can be drawn over.
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

/// The order of POSIX (Base Definitions, 8.2): the first of these that is set and not empty names the character set.
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
