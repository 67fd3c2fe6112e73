//! Progress of loading components: the compilation of a large one takes a minute.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use frond_app::size::show_size;
use frond_run::load::Tell;
use frond_run::{Loading, RunError};
use indicatif::{ProgressBar, ProgressStyle};

use crate::show::progress::Mode;
use crate::show::style;
use crate::show::text::sanitise;

/// Size in bytes from which a compilation is announced without a terminal: smaller components are
/// compiled in no time.
const LARGE: u64 = 1 << 20;
const MAX_PATH: usize = 4096;

/// Runs `load` and shows its progress on stderr.
pub(crate) fn loaded<T>(mode: Mode, load: impl FnOnce(Tell<'_>) -> Result<T, RunError>) -> Result<T, RunError> {
    let quiet = matches!(mode, Mode::None | Mode::Json);
    let spinner = RefCell::new(None::<ProgressBar>);
    load(&|loading| {
        if quiet {
            return;
        }
        match loading {
            Loading::Compiling { path, size } => *spinner.borrow_mut() = compiling(path, size),
            Loading::Compiled { path, took } => {
                if let Some(spinner) = spinner.borrow_mut().take() {
                    spinner.finish_and_clear();
                }
                errln!("compiled {} in {:.2} s", shown(path), took.as_secs_f64());
            }
        }
    })
}

fn compiling(path: &Path, size: u64) -> Option<ProgressBar> {
    let text = format!("compiling {} ({}); the result is cached", shown(path), show_size(size));
    if !style::stderr_is_drawable() {
        if size >= LARGE {
            errln!("{text}");
        }
        return None;
    }
    let spinner = ProgressBar::new_spinner().with_message(text);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    Some(spinner)
}

fn shown(path: &Path) -> String {
    sanitise(&path.display().to_string(), MAX_PATH)
}
