//! What a guest said last before it trapped, read out of its log. The sandbox sees the same `unreachable` in every language;
//! only the guest's own runtime knows the exception behind it, and where in the author's source it was raised.
//!
//! What is read here is for people. It decides no slug, but for one: Python's MemoryError says in words what the limiter
//! never saw. A guest gains nothing by faking that: it may end itself in any way it likes.

use frond_root::{Failure, FailureKind};

use crate::classify::{MAX_FRAME, PANICKED, clip};
use crate::log::{Text, clean};

/// What Python and JavaScript call what nobody caught.
const UNCAUGHT: &str = "an exception that nobody caught";
/// How componentize-py ends a call after Python has printed its traceback.
const PYTHON_ENDS: &str = "Python function threw an unexpected exception";
/// How componentize-qjs ends a call whose function threw.
const JAVASCRIPT_ENDS: &str = "Failed to call '";
/// The last line of every panic. What it advises is not possible in here.
const PANIC_NOTE: &str = "note: run with `RUST_BACKTRACE=1`";
/// The most functions that are taken over from a guest's own account.
const MAX_FRAMES: usize = 16;

/// What a runtime said of its guest's end.
struct Diagnostics {
    what: &'static str,
    kind: FailureKind,
    text: String,
    /// The author's functions, innermost first; none when the runtime did not say.
    frames: Vec<String>,
    /// The lines of the log from here on say nothing more.
    told_from: usize,
}

/// Puts into a trap what the guest's log says about it. The log is read as it was written, and clipped only for people.
pub(crate) fn tell(mut failure: Failure, text: &Text) -> Failure {
    let log = &text.lines;
    let panic = log.iter().rposition(|line| line.contains("panicked at "));
    let found = panic.and_then(|at| {
        python(log, at).or_else(|| javascript(log, at)).or_else(|| runtime(&failure, log, at)).or_else(|| rust(log, at))
    });
    let Some(words) = found.or_else(|| assertion(log)) else {
        failure.log = text.shown();
        return with_last_line(failure);
    };
    let what = if failure.message.starts_with(PANICKED) { words.what } else { &failure.message };
    failure.message = clip(&format!("{what}: {}", words.text));
    failure.kind = words.kind;
    if !words.frames.is_empty() {
        failure.backtrace = words.frames.iter().map(|frame| clean(frame, MAX_FRAME)).collect();
    }
    failure.log = text.shown_before(words.told_from);
    while failure.log.last().is_some_and(|line| line.trim().is_empty()) {
        failure.log.pop();
    }
    failure
}

/// No form of words that is known: the last line may say what happened, or something else.
fn with_last_line(mut failure: Failure) -> Failure {
    if let Some(line) = failure.log.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()) {
        failure.message = clip(&format!("{}; the last it wrote: {line}", failure.message));
    }
    failure
}

/// The lines that a panic ends the log with, from its own first line on.
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
        told_from: noted.unwrap_or(log.len()),
    })
}

/// C's `assert`, as wasi-libc writes it.
fn assertion(log: &[String]) -> Option<Diagnostics> {
    let line = log.iter().rev().find(|line| !line.trim().is_empty())?;
    line.starts_with("Assertion failed: ").then(|| Diagnostics {
        what: PANICKED,
        kind: FailureKind::Trap,
        text: line.trim().to_owned(),
        frames: Vec::new(),
        told_from: log.len(),
    })
}

/// A traceback, and the exception behind it. Its beginning may be lost: a log keeps its last lines.
fn python(log: &[String], panic: usize) -> Option<Diagnostics> {
    log.get(panic + 1).filter(|line| line.starts_with(PYTHON_ENDS))?;
    let said = log.get(..panic)?;
    let innermost = said.iter().rposition(|line| line.starts_with("  File \""))?;
    let traced = said.get(..=innermost)?.iter().rev().take_while(|line| line.starts_with("  "));
    let found: Vec<PythonFrame> = traced.filter_map(|line| python_frame(line)).take(MAX_FRAMES).collect();
    let (at, raised) = raised(said, innermost)?;
    // Where the author's own modules called what raised it; their line is the one that they can change.
    let place = found.iter().find(|frame| frame.is_own).or(found.first()).map_or("", |frame| &frame.place);
    Some(Diagnostics {
        what: UNCAUGHT,
        kind: if raised.starts_with("MemoryError") { FailureKind::OutOfMemory } else { FailureKind::Trap },
        text: format!("{place}: {raised}{}", remedy(raised)),
        frames: found.iter().map(|frame| format!("{} ({})", frame.function, frame.place)).collect(),
        told_from: at.unwrap_or(panic),
    })
}

/// How to mend an exception that a plugin in Python raises, and the same code elsewhere does not: modules are found when the
/// plugin is built, and there is no file to import from afterwards. `strptime` and codecs import theirs when first used.
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

/// What follows the innermost frame. Where Python has no memory left to print an exception, it dumps the object instead:
/// then also from which line on.
fn raised(said: &[String], innermost: usize) -> Option<(Option<usize>, &str)> {
    const DUMP: &str = "object address";
    const TYPE: &str = "object type name: ";
    let at = (innermost + 1..said.len())
        .find(|&at| !matches!(said.get(at).and_then(|line| line.chars().next()), Some(' ') | None))?;
    match said.get(at)? {
        line if line.starts_with(DUMP) => {
            Some((Some(at), said.get(at..)?.iter().find_map(|line| line.strip_prefix(TYPE))?))
        }
        line => Some((None, line)),
    }
}

struct PythonFrame {
    place: String,
    function: String,
    /// True for what was not taken from Python's library.
    is_own: bool,
}

/// The place and the function of `  File "/0/leaf.py", line 34, in row_of`.
fn python_frame(line: &str) -> Option<PythonFrame> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let (number, function) = rest.split_once(", in ").unwrap_or((rest, "?"));
    // componentize-py numbers the folders that it takes an author's modules from.
    let path = file.strip_prefix('/').unwrap_or(file);
    let is_number = |folder: &str| !folder.is_empty() && folder.bytes().all(|byte| byte.is_ascii_digit());
    let own = path.split_once('/').filter(|(folder, _)| is_number(folder)).map(|(_, rest)| rest);
    let place = format!("{}:{number}", own.unwrap_or(path));
    Some(PythonFrame { place, function: function.to_owned(), is_own: own.is_some() })
}

/// An `Error` with its stack, as Rust's `Debug` writes it.
fn javascript(log: &[String], panic: usize) -> Option<Diagnostics> {
    log.get(panic + 1).filter(|line| line.starts_with(JAVASCRIPT_ENDS))?;
    let line = log.get(panic + 2..)?.iter().find(|line| line.starts_with("Exception { "))?;
    let message = quoted(line, "message: Some(\"").unwrap_or_else(|| "an error without a message".to_owned());
    let stack = quoted(line, "stack: Some(\"").unwrap_or_default();
    let frames: Vec<String> = stack.lines().filter_map(javascript_frame).take(MAX_FRAMES).collect();
    let place = frames.first().and_then(|frame| frame.rsplit_once(" (")).map(|(_, place)| place.trim_end_matches(')'));
    let text = place.map_or_else(|| message.clone(), |place| format!("{place}: {message}"));
    Some(Diagnostics { what: UNCAUGHT, kind: FailureKind::Trap, text, frames, told_from: panic })
}

/// `row (leaf.js:54:25)` of `    at row (/leaf.js:54:25)`.
fn javascript_frame(line: &str) -> Option<String> {
    let frame = line.trim().strip_prefix("at ")?;
    Some(clip(&frame.replacen("(/", "(", 1)))
}

/// The string after `key` in what Rust's `Debug` wrote, up to its closing quote or where the line was cut.
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
                // What else is escaped stays so: it is what a terminal must not be shown.
                other @ ('"' | '\'' | '\\') => text.push(other),
                other => text.extend(['\\', other]),
            },
            c => text.push(c),
        }
    }
    Some(text)
}

/// What the runtimes of Python and JavaScript stop over by themselves: a value that is not what the contract says. They are
/// told by their own functions on the stack; where in the author's source it was, they do not know.
fn runtime(failure: &Failure, log: &[String], panic: usize) -> Option<Diagnostics> {
    let is_runtime = |frame: &String| frame.starts_with("wit_dylib_") || frame.starts_with("function ");
    let by_runtime = failure.backtrace.iter().any(is_runtime);
    let (_, place) = log.get(panic)?.split_once("panicked at ")?;
    let message = log.get(panic + 1)?;
    // What it could not make sense of above is no better understood here.
    if message.starts_with(JAVASCRIPT_ENDS) || message.starts_with(PYTHON_ENDS) {
        return None;
    }
    if !by_runtime || !(place.starts_with("runtime/src/") || place.starts_with("crates/runtime/src/")) {
        return None;
    }
    let text = not_of_the_contract(message);
    let what = "what it returned, threw or passed is not of the contract's type";
    Some(Diagnostics { what, kind: FailureKind::Trap, text, frames: Vec::new(), told_from: panic })
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
