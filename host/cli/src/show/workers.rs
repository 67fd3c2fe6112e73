//! Views of workers: a table of them, and one in detail.

use serde::Deserialize;

use super::jobs::rough;
use super::page::{Line, Page, Tone};
use super::style::TermStyle;
use super::table::Table;
use super::text::{self, MAX_KEY, MAX_TEXT, count, plural};

/// Width of the first column of a worker in detail: the longest label is `gets nothing`.
const LABEL: usize = 14;
/// Limit on the width of a worker's name in a table.
const MAX_NAME: usize = 40;

/// Worker as the server reports it. Unknown fields of a newer server are ignored here; `--format
/// json` prints them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) version: String,
    pub(crate) state: String,
    pub(crate) pool: Option<String>,
    pub(crate) pid: Option<u64>,
    pub(crate) engine: String,
    pub(crate) slots: u64,
    pub(crate) first_slot: u64,
    pub(crate) age_ms: u64,
    pub(crate) gone_ms: Option<u64>,
    pub(crate) silent_ms: Option<u64>,
    pub(crate) round_trip_ms: Option<f64>,
    pub(crate) attempts: u64,
    pub(crate) waiting: u64,
    pub(crate) apps: Vec<String>,
    pub(crate) ended: u64,
    pub(crate) ran_ms: u64,
    pub(crate) rate: f64,
    pub(crate) drained_ms: Option<u64>,
    pub(crate) drained_by: Option<String>,
    pub(crate) idle_because: Option<String>,
    pub(crate) refusals: Vec<String>,
}

impl Worker {
    /// True if it has joined and has not left.
    pub(crate) fn is_here(&self) -> bool {
        !["drained", "refused", "spare"].contains(&self.state.as_str())
    }
}

/// Returns a table of workers in the given order, or an empty text without workers.
pub(crate) fn table(workers: &[Worker], style: TermStyle) -> String {
    let page = Page::new(style);
    let head = ["name", "version", "state", "slots", "attempts", "ended", "a second", "joined"];
    let mut table = Table::new(head, [false, false, false, true, true, true, true, false]);
    for worker in workers {
        let tone = match (worker.state.as_str(), &worker.idle_because) {
            ("refused", _) => Tone::Warn,
            ("draining" | "drained" | "spare", _) => Tone::Dim,
            (_, Some(_)) => Tone::Warn,
            (_, None) => Tone::Plain,
        };
        table.row(tone, cells(&page, worker));
    }
    table.render(style)
}

fn cells(page: &Page, worker: &Worker) -> [String; 8] {
    [
        text::fit(&page.foreign(&worker.name, MAX_KEY), MAX_NAME),
        page.foreign(&worker.version, MAX_KEY),
        state(page, worker),
        count(worker.slots),
        count(worker.attempts),
        count(worker.ended),
        rate(worker.rate),
        format!("{} ago", rough(worker.age_ms)),
    ]
}

/// Returns a table of the processes of isolated apps in the given order, or an empty text without
/// any.
pub(crate) fn isolated(processes: &[Worker], style: TermStyle) -> String {
    if processes.is_empty() {
        return String::new();
    }
    let page = Page::new(style);
    let head = ["isolated process", "pid", "state", "app", "attempts", "ended", "started"];
    let mut table = Table::new(head, [false, true, false, false, true, true, false]);
    for process in processes {
        let tone = if process.state == "spare" { Tone::Dim } else { Tone::Plain };
        let cells = [
            text::fit(&page.foreign(&process.name, MAX_KEY), MAX_NAME),
            process.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            state(&page, process),
            text::fit(&page.foreign(&process.apps.join(", "), MAX_KEY), MAX_NAME),
            count(process.attempts),
            count(process.ended),
            format!("{} ago", rough(process.age_ms)),
        ];
        table.row(tone, cells);
    }
    table.render(style)
}

/// Formats a number of attempts a second.
fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate as u64) }
}

fn state(page: &Page, worker: &Worker) -> String {
    let state = page.foreign(&worker.state, MAX_KEY);
    if worker.idle_because.is_some() && worker.state == "working" { "gets nothing".to_owned() } else { state }
}

/// Returns all details of a worker.
pub(crate) fn whole(worker: &Worker, style: TermStyle) -> String {
    let mut page = Page::new(style);
    let clean = |text: &str| text::sanitise(text, MAX_TEXT);
    let last_slot = (worker.first_slot + worker.slots).saturating_sub(1);
    let optional = |label, text: &str| (!text.is_empty()).then(|| (label, clean(text)));
    let ago = |ms: u64| format!("{} ago", rough(ms));
    let mut rows = vec![("worker", clean(&worker.name))];
    rows.extend(optional("kind", &worker.kind));
    rows.extend(worker.pid.map(|pid| ("process", pid.to_string())));
    rows.extend(optional("pool", worker.pool.as_deref().unwrap_or_default()));
    rows.extend(optional("version", &worker.version));
    rows.extend(optional("engine", &worker.engine));
    rows.push(("state", clean(&worker.state)));
    if worker.slots > 0 {
        rows.push(("slots", format!("{} (numbers {} to {last_slot})", count(worker.slots), worker.first_slot)));
    }
    rows.push((if worker.state == "refused" { "heard" } else { "joined" }, ago(worker.age_ms)));
    if let Some(drained) = worker.drained_ms {
        let by = worker.drained_by.as_deref().map_or_else(|| "its own host".to_owned(), clean);
        rows.push(("drained", format!("{} by {by}", ago(drained))));
    }
    rows.extend(worker.gone_ms.map(|gone| ("left", ago(gone))));
    if worker.is_here() {
        let trip = worker.round_trip_ms.map_or_else(|| "not measured yet".to_owned(), text::millis);
        let attempts = format!("{}, of which {} wait without a slot", count(worker.attempts), count(worker.waiting));
        rows.extend([("round trip", trip), ("attempts", attempts)]);
        rows.extend(optional("of apps", &worker.apps.join(", ")));
    }
    if worker.slots > 0 {
        let ended = format!("{}, {} a second", plural(worker.ended, "attempt", "attempts"), rate(worker.rate));
        rows.extend([("ended", ended), ("ran", rough(worker.ran_ms))]);
    }
    if let Some(silent) = worker.silent_ms {
        rows.push(("last heard", format!("{} ago", text::millis(silent as f64))));
    }
    if let Some(why) = &worker.idle_because {
        rows.push(("gets nothing", format!("because {}", clean(why))));
    }
    rows.extend(worker.refusals.iter().map(|why| ("cannot run", clean(why))));
    for (label, text) in rows {
        page.wrapped(LABEL, Line::new().tone(Tone::Dim, text::pad(label, LABEL)).put(text));
    }
    page.into_text()
}
