//! `frond doctor`: checks what this machine needs to build plugins and to run them fast, and gives
//! the remedies.

use serde::Serialize;

use crate::args::{DoctorArgs, Language, OutputMode};
use crate::exit::Exit;
use crate::out::print;
use crate::show::page::{Line, Page, Tone};
use crate::show::style::TermStyle;
use crate::show::text::pad;

mod check;
mod folder;
mod languages;
mod machine;
mod tools;
mod wall;

pub(crate) use check::Check;
pub(crate) use languages::of;
use machine::Machine;

/// Width of the first column.
const NAME: usize = 20;

/// JSON report of `frond doctor`.
#[derive(Serialize)]
struct Report {
    version: u32,
    languages: Vec<Readiness>,
    machine: Machine,
    /// Guards of worker processes that the kernel offers.
    worker_processes: Vec<Check>,
}

/// Readiness of this machine for one language, with its checks.
#[derive(Serialize)]
struct Readiness {
    language: &'static str,
    ready: bool,
    checks: Vec<Check>,
}

impl Readiness {
    fn new(lang: Language) -> Self {
        let checks = of(lang);
        Self { language: lang.slug(), ready: checks.iter().all(|check| check.ok), checks }
    }
}

/// Runs the verb.
///
/// # Errors
/// When a thread or the clock of the sandbox cannot be started, or stdout cannot be written.
pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let languages = args.lang.map_or_else(|| Language::ALL.to_vec(), |lang| vec![lang]);
    let languages: Vec<_> = languages.into_iter().map(Readiness::new).collect();
    let worker_processes = wall::checks();
    let report = Report { version: 1, machine: machine::examine()?, languages, worker_processes };
    let text = match args.format {
        OutputMode::Text => shown(&report, TermStyle::stdout()),
        OutputMode::Json => serde_json::to_string(&report)? + "\n",
    };
    print(text.as_bytes())?;
    // The first language is Rust, or the one that `--lang` names.
    let ready = report.languages.first().is_some_and(|first| first.ready);
    Ok(if ready { Exit::Whole } else { Exit::Failed })
}

fn shown(report: &Report, style: TermStyle) -> String {
    let mut page = Page::new(style);
    for one in &report.languages {
        let (tone, verdict) = if one.ready { (Tone::Good, "ready") } else { (Tone::Warn, "not ready") };
        let line = Line::new().tone(Tone::Strong, pad(one.language, NAME)).put("  ").tone(tone, verdict);
        page.line(line);
        one.checks.iter().for_each(|check| row(&mut page, check));
    }
    page.line(Line::new().tone(Tone::Strong, "machine"));
    report.machine.checks().iter().for_each(|check| row(&mut page, check));
    for warning in &report.machine.warnings {
        page.wrapped(NAME + 2, Line::new().put("  ").tone(Tone::Warn, pad("warning", NAME - 2)).put("  ").put(warning));
    }
    page.line(Line::new().tone(Tone::Strong, "worker processes"));
    report.worker_processes.iter().for_each(|check| row(&mut page, check));
    page.into_text()
}

fn row(page: &mut Page, check: &Check) {
    let line = Line::new().put("  ").put(pad(check.name, NAME - 2)).put("  ");
    let line = if check.ok {
        line.put(&check.found)
    } else if check.found.is_empty() {
        line.tone(Tone::Bad, "missing").put(": ").put(&check.remedy)
    } else {
        line.put(format!("{} ", check.found)).tone(Tone::Bad, "does not work").put(": ").put(&check.remedy)
    };
    page.wrapped(NAME + 2, line);
}
