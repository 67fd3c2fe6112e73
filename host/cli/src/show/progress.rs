//! Progress of a running query, on stderr. The query's own task only updates a [`board`] or fills a
//! bounded buffer. A separate thread writes, so that a slow terminal never slows a query down.

pub mod bar;
pub mod board;
pub mod lines;
mod view;

use std::io::Write;
use std::sync::Arc;

use frond_root::Listener;
use indicatif::ProgressDrawTarget;

use super::style::{self, TermStyle};
use crate::out;
use bar::Bar;
use lines::{Json, Lines};
use view::View;

/// Time before which mode `auto` prints no lines without a terminal, in microseconds.
const QUIET: u64 = 2_000_000;

/// `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `bar` on a terminal; elsewhere `lines`, and only once a query has taken 2 s.
    #[default]
    Auto,
    /// One line and the slowest leaves, redrawn in place.
    Bar,
    /// A line at the start, at failures, at each tenth, at the end.
    Lines,
    /// Each event as a line of JSON.
    Json,
    /// Nothing.
    None,
}

/// One query's progress display.
#[derive(Default)]
pub struct Progress {
    view: Option<Arc<dyn View>>,
}

impl Progress {
    /// Shows one query on stderr.
    #[must_use]
    pub fn stderr(mode: Mode) -> Self {
        let drawable = style::stderr_is_drawable();
        let bar = || Self::of(Bar::new(TermStyle::stderr, ProgressDrawTarget::stderr_with_hz(20)));
        match mode {
            Mode::None => Self::default(),
            Mode::Bar | Mode::Auto if drawable => bar(),
            Mode::Auto => Self::lines(out::stderr(), QUIET),
            // Without a terminal that can redraw, `bar` falls back to lines.
            Mode::Bar | Mode::Lines => Self::lines(out::stderr(), 0),
            Mode::Json => Self::json(out::stderr()),
        }
    }

    fn lines(out: impl Write + Send + 'static, quiet: u64) -> Self {
        Self::of(Lines::new(out, TermStyle::stderr().unicode, quiet))
    }

    fn json(out: impl Write + Send + 'static) -> Self {
        Self::of(Json::new(out))
    }

    fn of(view: impl View + 'static) -> Self {
        Self { view: Some(Arc::new(view)) }
    }

    /// Returns the listener for the query's events, or `None` if nothing is shown.
    #[must_use]
    pub fn listener(&self) -> Option<Arc<dyn Listener>> {
        let view = self.view.clone()?;
        Some(view)
    }

    /// Ends the display: removes the bar, or writes the buffered lines. Call it before any other
    /// output; dropping does the same.
    pub fn finish(&self) {
        if let Some(view) = &self.view {
            view.finish();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests;
