//! Report on one failed call, for its author: the message, the innermost frames and the last log
//! lines.

use frond_root::Failure;

use super::page::{Line, Page, Tone};
use super::text::{MAX_TEXT, plural, sanitise};

/// Limit on the frames of a backtrace that are shown.
const MAX_FRAMES: usize = 5;
/// Limit on the lines of a guest's log that are shown: the last ones.
const MAX_LOG: usize = 8;
/// Prefixes of the names of CPython's own functions, and of those that call the interpreter.
const PYTHON: [&str; 3] = ["_Py", "Py", "componentize_py_runtime::"];

/// A failure of bounded size, safe to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The failure's message.
    pub message: String,
    /// The guest's functions on the stack, innermost first.
    pub frames: Vec<String>,
    /// Number of further frames.
    pub more_frames: u64,
    /// The last lines of the guest's log.
    pub log: Vec<String>,
    /// Number of lines before them.
    pub more_log: u64,
}

impl Excerpt {
    /// Returns the excerpt of `failure`.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let safe = |line: &String| sanitise(line, MAX_TEXT);
        // Runtimes separate their last message with blank lines.
        let log: Vec<&String> = failure.log.iter().filter(|line| !line.trim().is_empty()).collect();
        let more_log = log.len().saturating_sub(MAX_LOG);
        let all = legible(of_interest(&failure.backtrace));
        Self {
            message: sanitise(&failure.message, MAX_TEXT),
            frames: all.iter().take(MAX_FRAMES).map(safe).collect(),
            more_frames: all.len().saturating_sub(MAX_FRAMES) as u64,
            log: log.into_iter().skip(more_log).map(safe).collect(),
            more_log: more_log as u64,
        }
    }

    /// Returns true if there are frames or log lines.
    #[must_use]
    pub fn has_details(&self) -> bool {
        !self.frames.is_empty() || !self.log.is_empty()
    }

    /// Adds the backtrace and the log to `page`, indented by `indent` columns.
    pub fn details(&self, page: &mut Page, indent: usize) {
        let lead = " ".repeat(indent);
        for (number, frame) in self.frames.iter().enumerate() {
            page.wrapped(indent + 6, Line::new().put(format!("{lead}{number:>3}: {frame}")));
        }
        if self.more_frames > 0 {
            let more = plural(self.more_frames, "more frame", "more frames");
            page.line(Line::new().tone(Tone::Dim, format!("{lead}     and {more}")));
        }
        if self.more_log > 0 {
            let more = plural(self.more_log, "earlier line", "earlier lines");
            page.line(Line::new().tone(Tone::Dim, format!("{lead}log: {more} not shown")));
        }
        for line in &self.log {
            page.wrapped(indent + 6, Line::new().tone(Tone::Dim, format!("{lead}log: ")).put(line));
        }
    }
}

/// Returns the frames between those that every panic and every allocation goes through and those of
/// the test harness. If none are left, it returns all frames.
pub(crate) fn of_interest(backtrace: &[String]) -> &[String] {
    let ways_out = [
        "core::panick",
        "std::panick",
        "rust_panic",
        "__rust_",
        "__rustc",
        "std::process",
        "std::sys",
        "std::rt",
        "alloc::",
        "core::result::unwrap_failed",
        "core::option::unwrap_failed",
        "core::option::expect_failed",
    ];
    let libc =
        ["abort", "__assert_fail", "exit_exit", "_Exit", "exit", "sbrk", "malloc", "dlmalloc", "calloc", "realloc"];
    let is_way_out = |frame: &&String| {
        libc.contains(&frame.as_str())
            || ways_out.iter().any(|part| frame.contains(part)) && !frame.contains("::tests::")
    };
    let after = backtrace.iter().take_while(is_way_out).count();
    let is_harness = |frame: &String| frame.starts_with("test::") || frame.contains("core::ops::function::FnOnce");
    let inner = backtrace.get(after..).unwrap_or_default();
    let end = inner.iter().position(is_harness).unwrap_or(inner.len());
    match inner.get(..end) {
        Some(frames) if !frames.is_empty() => frames,
        _ => backtrace,
    }
}

/// Removes an interpreter's own functions, and merges consecutive functions without names.
fn legible(frames: &[String]) -> Vec<String> {
    let is_python = frames.iter().any(|frame| frame.starts_with("_PyE"));
    let is_inside = |frame: &String| is_python && PYTHON.iter().any(|begin| frame.starts_with(begin));
    let python = frames.iter().position(is_inside);
    let own = frames.get(..python.unwrap_or(frames.len())).unwrap_or_default();
    let mut all = Vec::new();
    for run in own.chunk_by(|a, b| is_nameless(a) && is_nameless(b)) {
        match run {
            [first, _, ..] if is_nameless(first) => all.push(format!("{} functions without names", run.len())),
            _ => all.extend(run.iter().cloned()),
        }
    }
    if python.is_some() {
        all.push("Python, without a location (print to sys.stderr to find it)".to_owned());
    }
    all
}

fn is_nameless(frame: &str) -> bool {
    frame.strip_prefix("function ").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}
