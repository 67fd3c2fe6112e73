//! The server's log on stderr: a bounded queue, written by a separate thread, so that no query
//! waits for its reader.

use std::borrow::Cow;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use frond_server::config::{self, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::MachineFault;
use crate::out;
use crate::out::queue::{Notice, Queue};
use crate::show::style::TermStyle;
use crate::show::text::is_unsafe;

/// Limit on the time for the last lines at the end.
const CLOSING: Duration = Duration::from_secs(1);

/// Log of a server, on stderr. Dropping it writes the queued lines.
pub(crate) struct Log(Arc<Queue>);

impl Log {
    /// Sends the process's trace events and panics to stderr.
    ///
    /// # Errors
    /// When the process already has a log.
    pub(crate) fn start(of: &config::Log) -> anyhow::Result<Self> {
        let queue = Arc::new(Queue::new(out::stderr(), notice(of.format)));
        let lines = queue.clone();
        let level = match of.level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        };
        // `frond_broker` tells the same events in its own words.
        let targets = Targets::new().with_default(level).with_target("async_nats", LevelFilter::OFF);
        let log = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_target(false)
            // Internal errors would be printed to stderr, and panic where that fails.
            .log_internal_errors(false)
            .with_writer(move || Line(lines.clone()));
        let set = match of.format {
            LogFormat::Json => log.json().flatten_event(true).finish().with(targets).try_init(),
            LogFormat::Text => log.with_ansi(TermStyle::stderr().colour).finish().with(targets).try_init(),
        };
        set.map_err(|error| anyhow::anyhow!("{error}")).context(MachineFault::new("the log could not be set up"))?;
        panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let why = panic.payload_as_str().unwrap_or("a panic without a message");
            tracing::error!(thread = thread.name().unwrap_or_default(), place, "a bug in Frond: {why}");
        }));
        Ok(Self(queue))
    }

    /// Writes a line that is no event.
    pub(super) fn say(&self, line: &str) {
        self.0.push(line, false);
    }

    /// Calls `on_loss` with the number of lines at each loss.
    pub(super) fn tell_losses(&self, on_loss: impl Fn(u64) + Send + 'static) {
        self.0.tell_losses(on_loss);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.close_within(CLOSING);
    }
}

/// Writer of one line: the subscriber writes it in one call.
struct Line(Arc<Queue>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.push(&one_line(text.strip_suffix('\n').unwrap_or(&text)), false);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Escapes control characters and line breaks in an event, which may contain names, keys and
/// messages of others: a line break could forge a second event. The line break before a remedy
/// becomes a space. The subscriber itself handles ESC, for its colours.
fn one_line(event: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c != '\u{1b}' && c != '\t' && is_unsafe(c);
    if event.contains("\n(") {
        return Cow::Owned(one_line(&event.replace("\n(", " (")).into_owned());
    }
    if !event.contains(is_hidden) {
        return Cow::Borrowed(event);
    }
    let mut line = String::with_capacity(event.len() + 16);
    for c in event.chars() {
        if is_hidden(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    Cow::Owned(line)
}

fn notice(format: LogFormat) -> Notice {
    match format {
        LogFormat::Text => |lost| format!("{}  WARN log lines were lost lost={lost}", now()),
        LogFormat::Json => |lost| {
            format!(r#"{{"timestamp":"{}","level":"WARN","message":"log lines were lost","lost":{lost}}}"#, now())
        },
    }
}

/// Returns the time of day in the format of the other lines.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let forged = "INFO query app=\"a\"\n2026-01-01T00:00:00Z ERROR \u{202e}the disk is full\r\u{9b}2J";
        let line = one_line(forged);
        assert_eq!(line, "INFO query app=\"a\"\\n2026-01-01T00:00:00Z ERROR \\u{202e}the disk is full\\r\\u{9b}2J");
        assert_eq!(one_line("it is away\n(start it)\n"), "it is away (start it)\\n");
        for kept in ["plain, ä\tb", "\u{1b}[33m WARN\u{1b}[0m"] {
            assert_eq!(one_line(kept), kept);
        }
    }
}
