//! Diagnostics from a guest's log after a trap. Every language ends in the same `unreachable`; only
//! the guest's own runtime knows the exception behind it, and where in the author's source it was
//! raised.
//!
//! Diagnostics are for people and decide no slug, with one exception: Python's MemoryError reports
//! a shortage of memory that the limiter never saw. A guest gains nothing by faking it, as it may
//! end itself in any way it likes.

use frond_root::{Failure, FailureKind};

use crate::classify::{MAX_FRAME, PANICKED};
use crate::escape::{clean, clip};
use crate::log::Text;

/// Description of an uncaught exception in Python or JavaScript.
const UNCAUGHT: &str = "an exception that nobody caught";
/// Message by which componentize-py ends a call, after Python has printed its traceback.
const PYTHON_ENDS: &str = "Python function threw an unexpected exception";
/// Message by which componentize-qjs ends a call whose function threw.
const JAVASCRIPT_ENDS: &str = "Failed to call '";
/// Last line of every Rust panic. Its advice does not apply in the sandbox.
const PANIC_NOTE: &str = "note: run with `RUST_BACKTRACE=1`";
/// Most functions that are copied from a guest's traceback.
const MAX_FRAMES: usize = 16;

/// Diagnostics of one guest's end, as its runtime reported them.
struct Diagnostics {
    what: &'static str,
    kind: FailureKind,
    text: String,
    /// The author's functions, innermost first; empty if the runtime did not report them.
    frames: Vec<String>,
    /// Index of the first line of the log that repeats these diagnostics.
    repeated_from: usize,
}

/// Adds the diagnostics of a guest's log to a trap. The raw log is parsed; it is clipped only for
/// people.
pub(crate) fn tell(mut failure: Failure, text: &Text) -> Failure {
    let log = &text.lines;
    let panic = log.iter().rposition(|line| line.contains("panicked at "));
    let found = panic.and_then(|at| {
        python(log, at).or_else(|| javascript(log, at)).or_else(|| runtime(&failure, log, at)).or_else(|| rust(log, at))
    });
    let Some(diagnostics) = found.or_else(|| assertion(log)) else {
        failure.log = text.shown();
        return with_last_line(failure);
    };
    let what = if failure.message.starts_with(PANICKED) { diagnostics.what } else { &failure.message };
    failure.message = clip(&format!("{what}: {}", diagnostics.text));
    failure.kind = diagnostics.kind;
    if !diagnostics.frames.is_empty() {
        failure.backtrace = diagnostics.frames.iter().map(|frame| clean(frame, MAX_FRAME)).collect();
    }
    failure.log = text.shown_before(diagnostics.repeated_from);
    while failure.log.last().is_some_and(|line| line.trim().is_empty()) {
        failure.log.pop();
    }
    failure
}

/// Adds the last line of a log in no known format: it may or may not explain the failure.
fn with_last_line(mut failure: Failure) -> Failure {
    if let Some(line) = failure.log.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()) {
        failure.message = clip(&format!("{}; the last log line: {line}", failure.message));
    }
    failure
}

/// Parses the lines of a Rust panic, which end the log.
fn rust(log: &[String], panic: usize) -> Option<Diagnostics> {
    let (_, place) = log.get(panic)?.split_once("panicked at ")?;
    let message = log.get(panic + 1).map_or("", |line| line.trim());
    let text = format!("{} {message}", place.trim_end()).trim().to_owned();
    let noted = log.iter().rposition(|line| line.starts_with(PANIC_NOTE));
    Some(Diagnostics {
        what: PANICKED,
        kind: FailureKind::Trap,
        text,
        frames: Vec::new(),
        repeated_from: noted.unwrap_or(log.len()),
    })
}

/// Parses the message of C's `assert`, as wasi-libc writes it.
fn assertion(log: &[String]) -> Option<Diagnostics> {
    let line = log.iter().rev().find(|line| !line.trim().is_empty())?;
    line.starts_with("Assertion failed: ").then(|| Diagnostics {
        what: PANICKED,
        kind: FailureKind::Trap,
        text: line.trim().to_owned(),
        frames: Vec::new(),
        repeated_from: log.len(),
    })
}

/// Parses a Python traceback and its exception. Its beginning may be missing, as a log keeps only
/// its last lines.
fn python(log: &[String], panic: usize) -> Option<Diagnostics> {
    log.get(panic + 1).filter(|line| line.starts_with(PYTHON_ENDS))?;
    let before = log.get(..panic)?;
    let innermost = before.iter().rposition(|line| line.starts_with("  File \""))?;
    let traced = before.get(..=innermost)?.iter().rev().take_while(|line| line.starts_with("  "));
    let found: Vec<PythonFrame> = traced.filter_map(|line| python_frame(line)).take(MAX_FRAMES).collect();
    let (at, raised) = raised(before, innermost)?;
    // The innermost frame in the author's own modules: the line that the author can change.
    let place = found.iter().find(|frame| frame.is_own).or(found.first()).map_or("", |frame| &frame.place);
    Some(Diagnostics {
        what: UNCAUGHT,
        kind: if raised.starts_with("MemoryError") { FailureKind::OutOfMemory } else { FailureKind::Trap },
        text: format!("{place}: {raised}{}", remedy(raised)),
        frames: found.iter().map(|frame| format!("{} ({})", frame.function, frame.place)).collect(),
        repeated_from: at.unwrap_or(panic),
    })
}

/// Returns the remedy for an exception that a Python plugin raises although the same code works
/// elsewhere: modules are found when the plugin is built, and there is no file to import from
/// afterwards. `strptime` and codecs import their modules on first use.
fn remedy(raised: &str) -> String {
    let named = |begin: &str, end: char| raised.strip_prefix(begin).and_then(|rest| rest.split(end).next());
    let module = named("ModuleNotFoundError: No module named '", '\'').map(str::to_owned);
    let codec =
        named("LookupError: unknown encoding: ", ' ').map(|codec| format!("encodings.{}", codec.replace('-', "_")));
    match module.or(codec) {
        Some(module) => {
            format!(" (write `import {module}` at the top of the plugin: modules are found when it is built)")
        }
        None => String::new(),
    }
}

/// Returns the exception behind the innermost frame. If Python has no memory left to print an
/// exception, it dumps the object instead; then also returns the line where the dump begins.
fn raised(lines: &[String], innermost: usize) -> Option<(Option<usize>, &str)> {
    const DUMP: &str = "object address";
    const TYPE: &str = "object type name: ";
    let at = (innermost + 1..lines.len())
        .find(|&at| !matches!(lines.get(at).and_then(|line| line.chars().next()), Some(' ') | None))?;
    match lines.get(at)? {
        line if line.starts_with(DUMP) => {
            Some((Some(at), lines.get(at..)?.iter().find_map(|line| line.strip_prefix(TYPE))?))
        }
        line => Some((None, line)),
    }
}

/// Frame of a Python traceback.
struct PythonFrame {
    place: String,
    function: String,
    /// True for a module of the author's, false for one of Python's library.
    is_own: bool,
}

/// Parses a frame such as `  File "/0/leaf.py", line 34, in row_of`.
fn python_frame(line: &str) -> Option<PythonFrame> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let (number, function) = rest.split_once(", in ").unwrap_or((rest, "?"));
    // componentize-py numbers the folders of an author's modules.
    let path = file.strip_prefix('/').unwrap_or(file);
    let is_number = |folder: &str| !folder.is_empty() && folder.bytes().all(|byte| byte.is_ascii_digit());
    let own = path.split_once('/').filter(|(folder, _)| is_number(folder)).map(|(_, rest)| rest);
    let place = format!("{}:{number}", own.unwrap_or(path));
    Some(PythonFrame { place, function: function.to_owned(), is_own: own.is_some() })
}

/// Parses a JavaScript `Error` with its stack, as Rust's `Debug` writes it.
fn javascript(log: &[String], panic: usize) -> Option<Diagnostics> {
    log.get(panic + 1).filter(|line| line.starts_with(JAVASCRIPT_ENDS))?;
    let line = log.get(panic + 2..)?.iter().find(|line| line.starts_with("Exception { "))?;
    let message = quoted(line, "message: Some(\"").unwrap_or_else(|| "an error without a message".to_owned());
    let stack = quoted(line, "stack: Some(\"").unwrap_or_default();
    let frames: Vec<String> = stack.lines().filter_map(javascript_frame).take(MAX_FRAMES).collect();
    let place = frames.first().and_then(|frame| frame.rsplit_once(" (")).map(|(_, place)| place.trim_end_matches(')'));
    let text = place.map_or_else(|| message.clone(), |place| format!("{place}: {message}"));
    Some(Diagnostics { what: UNCAUGHT, kind: FailureKind::Trap, text, frames, repeated_from: panic })
}

/// Turns `    at row (/leaf.js:54:25)` into `row (leaf.js:54:25)`.
fn javascript_frame(line: &str) -> Option<String> {
    let frame = line.trim().strip_prefix("at ")?;
    Some(clip(&frame.replacen("(/", "(", 1)))
}

/// Returns the string after `key` in Rust's `Debug` output, up to its closing quote or the end of a
/// cut line.
fn quoted(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(key)?;
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                // Other escapes stay as they are: a terminal must not be shown the characters.
                other @ ('"' | '\'' | '\\') => text.push(other),
                other => text.extend(['\\', other]),
            },
            c => text.push(c),
        }
    }
    Some(text)
}

/// Parses a panic of the Python or JavaScript runtime itself: a value that does not match the
/// contract. The runtime's own functions on the stack tell such a panic from the author's; the
/// runtime does not know the place in the author's source.
fn runtime(failure: &Failure, log: &[String], panic: usize) -> Option<Diagnostics> {
    let is_runtime = |frame: &String| frame.starts_with("wit_dylib_") || frame.starts_with("function ");
    let by_runtime = failure.backtrace.iter().any(is_runtime);
    let (_, place) = log.get(panic)?.split_once("panicked at ")?;
    let message = log.get(panic + 1)?;
    // The parsers above already failed on such a message.
    if message.starts_with(JAVASCRIPT_ENDS) || message.starts_with(PYTHON_ENDS) {
        return None;
    }
    if !by_runtime || !(place.starts_with("runtime/src/") || place.starts_with("crates/runtime/src/")) {
        return None;
    }
    let text = not_of_the_contract(message);
    let what = "what it returned, threw or passed is not of the contract's type";
    Some(Diagnostics { what, kind: FailureKind::Trap, text, frames: Vec::new(), repeated_from: panic })
}

fn not_of_the_contract(message: &str) -> String {
    let between = |begin: &str, end: &str| Some(message.split_once(begin)?.1.rsplit_once(end)?.0.to_owned());
    if let (Some(value), Some(class)) =
        (between("CastError { from: ", ", classinfo: "), between("classinfo: <class '", "'>"))
    {
        return format!("{value} is no {class}");
    }
    if let Some(tag) = between("unknown variant tag: ", "\"), stack") {
        return format!("it threw the tag `{tag}`, which the contract does not have");
    }
    if let Some(kind) = message.strip_prefix("invalid variant: ").and(between("FromJs { from: \"", "\", to:")) {
        return format!("it threw a {kind}, and neither an Error nor a failure {{ tag, val }}");
    }
    message.to_owned()
}

#[cfg(test)]
mod tests;
