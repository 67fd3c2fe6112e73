//! The progress bar and the slowest leaves, redrawn ten times a second by a separate thread. It
//! keeps redrawing without events, and the emitter of events never waits for the terminal.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use frond_root::{Event, Listener};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::{Board, Leaf, Phase};
use super::view::View;
use crate::show::page::{Line, Page, Tone};
use crate::show::style::TermStyle;
use crate::show::text::{self, MAX_KEY, count, duration, fit, pad, pad_left, percent, plural, share};

/// Interval of redraws. The first one waits for it too, so that a fast query does not flicker.
const EVERY: Duration = Duration::from_millis(100);
/// Width of the bar alone.
const BAR: usize = 20;

/// A progress bar of one query.
pub struct Bar {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// State that the bar shares with its drawing thread.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stop: Condvar,
}

/// State of the query, and whether the display has ended.
#[derive(Default)]
struct State {
    board: Board,
    /// The local time and the query's time of the first event.
    clock: Option<(Instant, u64)>,
    stopped: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Content of one redraw, copied from the board.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    app: String,
    phase: Phase,
    now: u64,
    deadline: u64,
    planned: u64,
    succeeded: u64,
    missing: u64,
    failures: u64,
    retries: u64,
    held: bool,
    enough: bool,
    leaves: Vec<Leaf>,
    more: u64,
}

impl Picture {
    /// Copies the board. `now` is the time in microseconds since the query's start.
    #[must_use]
    pub fn of(board: &Board, now: u64) -> Self {
        let (leaves, more) = board.slowest();
        Self {
            app: board.app.clone(),
            phase: board.phase,
            now,
            deadline: board.deadline,
            planned: board.planned,
            succeeded: board.succeeded(),
            missing: board.missing(),
            failures: board.failures,
            retries: board.retries,
            held: board.held,
            enough: board.enough,
            leaves,
            more,
        }
    }

    /// Returns the picture as lines, without the last line feed.
    #[must_use]
    pub fn render(&self, style: TermStyle) -> String {
        // The last column stays free: terminals differ in when they wrap.
        let mut page = Page::new(TermStyle { width: style.width.saturating_sub(1), ..style });
        page.line(self.headline(&page));
        let wide = page.width() / 2;
        let keys: Vec<_> =
            self.leaves.iter().map(|leaf| fit(&page.foreign(leaf.key.as_str(), MAX_KEY), wide)).collect();
        let wide = keys.iter().map(|key| text::columns(key)).max().unwrap_or(0);
        for (leaf, key) in self.leaves.iter().zip(&keys) {
            let time = pad_left(&duration(self.now.saturating_sub(leaf.start)), 12);
            let again = if leaf.attempt > 1 { format!("   attempt {}", leaf.attempt) } else { String::new() };
            page.line(Line::new().put(format!("  {}{time}{again}", pad(key, wide))));
        }
        if self.more > 0 {
            page.line(Line::new().tone(Tone::Dim, format!("  and {} more", count(self.more))));
        }
        let mut text = page.into_text();
        text.truncate(text.trim_end_matches('\n').len());
        text
    }

    fn headline(&self, page: &Page) -> Line {
        let line = Line::new().tone(Tone::Strong, format!("{}  ", page.foreign(&self.app, 24)));
        let line = match self.phase {
            Phase::Waiting | Phase::Planning => line.put("planning"),
            Phase::Gathering => self.gathered(line),
            Phase::Merging => line.put(format!("merging {}", plural(self.succeeded, "partial", "partials"))),
            Phase::Over => line.put("over"),
        };
        let line = line.put(match self.deadline.checked_sub(self.now) {
            Some(left) => format!(" · {} left", duration(left / 100_000 * 100_000)),
            None => " · past the deadline".to_owned(),
        });
        let mut line = line;
        if self.enough && self.phase == Phase::Gathering {
            line = line.tone(Tone::Good, " · enough");
        }
        if self.missing > 0 {
            line = line.tone(Tone::Warn, format!(" · {} missing", count(self.missing)));
        }
        if self.failures > 0 {
            line = line.tone(Tone::Bad, format!(" · {}", plural(self.failures, "failure", "failures")));
        }
        if self.retries > 0 {
            line = line.put(format!(" · {}", plural(self.retries, "retry", "retries")));
        }
        if self.held {
            line = line.put(" · held back for memory");
        }
        line
    }

    fn gathered(&self, line: Line) -> Line {
        let done = share(self.succeeded.min(self.planned), self.planned);
        let filled = usize::try_from(self.succeeded.min(self.planned).saturating_mul(BAR as u64) / self.planned.max(1));
        let filled = filled.unwrap_or(BAR).min(BAR);
        line.tone(Tone::Good, "█".repeat(filled))
            .tone(Tone::Dim, "·".repeat(BAR - filled))
            .put(format!("  {}/{}", count(self.succeeded), count(self.planned)))
            .put(format!(" partitions, {}", percent(done)))
    }
}

impl Bar {
    /// Starts the thread that draws on `target`, in the `style` of each moment.
    #[must_use]
    pub fn new(style: impl Fn() -> TermStyle + Send + 'static, target: ProgressDrawTarget) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("progress".to_owned()).spawn(move || draw(&of_thread, style, target));
        Self {
            shared,
            // Without a thread there is no display; the query still runs.
            thread: Mutex::new(thread.ok()),
        }
    }
}

impl Listener for Bar {
    fn event(&self, event: &Event) {
        let mut state = self.shared.state();
        if state.clock.is_none() {
            state.clock = Some((Instant::now(), event.at));
        }
        state.board.take(event);
    }
}

impl View for Bar {
    fn finish(&self) {
        self.shared.state().stopped = true;
        self.shared.stop.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread can only have panicked in the display, which is then gone.
            let _ = thread.join();
        }
    }
}

fn draw(shared: &Shared, style: impl Fn() -> TermStyle, target: ProgressDrawTarget) {
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    let mut state = shared.state();
    while !state.stopped {
        let waited = shared.stop.wait_timeout(state, EVERY);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let Some((instant, at)) = state.clock.filter(|_| !state.stopped) else {
            continue;
        };
        let passed = u64::try_from(instant.elapsed().as_micros()).unwrap_or(u64::MAX);
        let picture = Picture::of(&state.board, at.saturating_add(passed));
        // Drawing may block on the terminal, so the lock is released for the emitter of events.
        drop(state);
        bar.set_message(picture.render(style()));
        state = shared.state();
    }
    drop(state);
    bar.finish_and_clear();
}
