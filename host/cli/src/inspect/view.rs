//! Text report of `frond inspect`.

use frond_sandbox::component::Origin;
use frond_sandbox::inspect::Report;
use frond_sandbox::inspect::report::{Fit, Import, Listed, MismatchKind};

use super::inspected::{Compiled, InspectedFile, halves};
use crate::show::page::{Line, Page, Tone};
use crate::show::style::TermStyle;
use crate::show::text::{bytes, count, duration, plural};

/// Width of the column of labels.
const LABEL: usize = 12;
/// Limit on the items of a list that are shown.
const MAX_SHOWN: usize = 24;
/// Limit on the characters of one item.
const MAX_ITEM: usize = 120;

/// Returns the report on all files, one after the other.
pub(super) fn view(files: &[InspectedFile], style: TermStyle) -> String {
    let mut page = Page::new(style);
    for (index, one) in files.iter().enumerate() {
        if index > 0 {
            page.blank();
        }
        file(&mut page, one);
    }
    page.into_text()
}

fn file(page: &mut Page, file: &InspectedFile) {
    let (tone, verdict) = verdict(file);
    let path = file.path.display().to_string();
    page.wrapped(LABEL, Line::new().tone(Tone::Strong, path).put(": ").tone(tone, verdict));
    match &file.report {
        Ok(report) => {
            roles(page, file, report);
            surface(page, report);
            made(page, file, report);
        }
        Err(misfit) => {
            let (text, hint) = halves(&misfit.to_string());
            row(page, "why", Tone::Plain, &text);
            remedy(page, &hint);
            facts(page, file);
        }
    }
}

fn verdict(file: &InspectedFile) -> (Tone, String) {
    let Ok(report) = &file.report else {
        return (Tone::Bad, "is no component that fits".to_owned());
    };
    let fitting: Vec<String> = report.fits().map(|role| role.to_string()).collect();
    let wanted: Vec<String> = file.named.iter().map(ToString::to_string).collect();
    match (file.fits(), wanted.is_empty()) {
        (true, true) => (Tone::Good, format!("fits as {}", fitting.join(", "))),
        (true, false) => (Tone::Good, format!("fits as {}, as frond.toml names it", wanted.join(", "))),
        (false, true) => (Tone::Bad, "does not fit".to_owned()),
        (false, false) => (Tone::Bad, format!("does not fit as {}, as frond.toml names it", wanted.join(", "))),
    }
}

/// Prints why the component does not fit its roles. A role that it does not even export is left
/// out, unless the app gives it that role or it fits none.
fn roles(page: &mut Page, file: &InspectedFile, report: &Report) {
    let is_wanted = |fit: &&Fit| file.named.contains(&fit.role);
    let is_attempt =
        |fit: &&Fit| fit.mismatch.as_ref().is_some_and(|mismatch| mismatch.kind != MismatchKind::NotExported);
    let mut fits: Vec<&Fit> =
        report.roles.iter().filter(|fit| fit.mismatch.is_some() && (is_wanted(fit) || is_attempt(fit))).collect();
    if fits.is_empty() && !file.fits() {
        fits = report.roles.iter().collect();
    }
    let mut hints: Vec<&str> = Vec::new();
    for fit in fits {
        let Some(mismatch) = &fit.mismatch else { continue };
        for (index, line) in mismatch.text.lines().enumerate() {
            let label = if index == 0 { format!("not {}", fit.role) } else { String::new() };
            row(page, &label, if index == 0 { Tone::Warn } else { Tone::Dim }, line);
        }
        if !hints.contains(&mismatch.hint.as_str()) {
            hints.push(&mismatch.hint);
        }
    }
    hints.iter().for_each(|hint| remedy(page, hint));
}

fn surface(page: &mut Page, report: &Report) {
    names(page, "exports", &report.exports);
    names(page, "imports", &report.imports);
    for ask in &report.asks {
        row(page, "may use", Tone::Plain, meaning(*ask));
    }
    let packages: Vec<String> = report.packages.items.iter().take(MAX_SHOWN).map(|name| shown(page, name)).collect();
    let more = report.packages.more + (report.packages.items.len() - packages.len()) as u64;
    if !packages.is_empty() {
        row(page, "packages", Tone::Plain, &with_more(packages.join(" · "), more));
    }
}

/// Describes an import: what the component may use, not that it does.
fn meaning(import: Import) -> &'static str {
    match import {
        Import::Http => "wasi:http: requests, where `[[grants.http]]` in frond.toml allows them",
        Import::Config => "wasi:config: the settings that `[grants.config]` in frond.toml gives it",
        Import::Files => {
            "wasi:filesystem: files, where `directories` in frond.toml grants them (many languages import it always)"
        }
        Import::Sockets => "wasi:sockets: nothing, as sockets are never granted (many languages import it always)",
        Import::Source => "frond:plugin/source: it pulls its partition, and gets no `data`",
        Import::Pieces => "frond:plugin/pieces: it takes its partition piece by piece, so that the rest can be cut off",
        Import::Control => "frond:plugin/control: the time left, and partials handed over early",
    }
}

fn made(page: &mut Page, file: &InspectedFile, report: &Report) {
    facts(page, file);
    let inner = match report.components {
        0 => String::new(),
        inner => format!(", {}", plural(inner, "inner component", "inner components")),
    };
    row(page, "code", Tone::Plain, &format!("{}{inner}", plural(report.modules, "core module", "core modules")));
    memory(page, file, report);
    let producers: Vec<String> = report
        .producers
        .items
        .iter()
        .take(MAX_SHOWN)
        .map(|one| shown(page, format!("{} {}", one.name, one.version).trim()))
        .collect();
    let more = report.producers.more + (report.producers.items.len() - producers.len()) as u64;
    let made_by = if producers.is_empty() { "not stated".to_owned() } else { producers.join(" · ") };
    row(page, "made by", Tone::Plain, &with_more(made_by, more));
    let names = if report.has_function_names {
        "functions have names: backtraces are legible"
    } else {
        "functions have no names: backtraces show numbers (in Rust, strip = \"debuginfo\" keeps them)"
    };
    row(page, "names", Tone::Plain, names);
    let sections: Vec<String> = report
        .sections
        .items
        .iter()
        .take(MAX_SHOWN)
        .map(|one| format!("{} {}", shown(page, &one.name), bytes(one.size)))
        .collect();
    let more = report.sections.more + (report.sections.items.len() - sections.len()) as u64;
    if !sections.is_empty() {
        row(page, "sections", Tone::Plain, &with_more(sections.join(" · "), more));
    }
    if report.debug_info > 0 {
        let text = format!("{} of debug information, which nothing here reads", bytes(report.debug_info));
        row(page, "", Tone::Dim, &text);
    }
}

fn memory(page: &mut Page, file: &InspectedFile, report: &Report) {
    let demand = report.demand;
    let most = match demand.memory_max {
        Some(most) => format!("at most {}", bytes(most)),
        None => "without a maximum".to_owned(),
    };
    let memories = plural(demand.memories, "memory", "memories");
    let text = format!("{} at the start in {memories}, {most}", bytes(demand.memory_min));
    row(page, "memory", Tone::Plain, &text);
    if demand.memory_min > file.limits.memory {
        let text = format!("more than the limit of {}: no call will start", bytes(file.limits.memory));
        row(page, "", Tone::Bad, &text);
    }
    let text =
        format!("{} in {}", plural(demand.table_min, "element", "elements"), plural(demand.tables, "table", "tables"));
    row(page, "tables", Tone::Plain, &format!("{text} at the start"));
    if demand.table_min > file.limits.table_elements {
        let text = format!("more than the limit of {}: no call will start", count(file.limits.table_elements));
        row(page, "", Tone::Bad, &text);
    }
    if !demand.is_known {
        row(page, "", Tone::Dim, "and what its imported modules need");
    }
}

/// Prints the facts about any file: size, digest, compilation.
fn facts(page: &mut Page, file: &InspectedFile) {
    row(page, "size", Tone::Plain, &format!("{} ({} bytes)", bytes(file.size), count(file.size)));
    if let Some(digest) = &file.digest {
        row(page, "sha256", Tone::Plain, &digest.to_string());
    }
    let micros = |took: std::time::Duration| duration(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let compiled = match &file.compiled {
        Compiled::Done { origin: Origin::Compiled, took } => format!("now, in {}", micros(*took)),
        Compiled::Done { origin: Origin::Cached, took } => {
            format!("earlier: it came from the cache, in {}", micros(*took))
        }
        Compiled::NotAsked => "no: --no-compile".to_owned(),
        Compiled::NoUse => "no: it fits no role".to_owned(),
        Compiled::Refused => "no: the engine refuses it".to_owned(),
    };
    row(page, "compiled", Tone::Plain, &compiled);
}

fn names(page: &mut Page, label: &str, list: &Listed<String>) {
    if list.items.is_empty() {
        row(page, label, Tone::Dim, "nothing");
    }
    for (index, item) in list.items.iter().take(MAX_SHOWN).enumerate() {
        let item = shown(page, item);
        row(page, if index == 0 { label } else { "" }, Tone::Plain, &item);
    }
    let more = list.more + list.items.len().saturating_sub(MAX_SHOWN) as u64;
    if more > 0 {
        row(page, "", Tone::Dim, &format!("and {} more", count(more)));
    }
}

fn with_more(text: String, more: u64) -> String {
    if more == 0 { text } else { format!("{text} and {} more", count(more)) }
}

fn shown(page: &Page, foreign: &str) -> String {
    page.foreign(foreign, MAX_ITEM)
}

fn remedy(page: &mut Page, hint: &str) {
    if !hint.is_empty() {
        row(page, "", Tone::Plain, &format!("({hint})"));
    }
}

fn row(page: &mut Page, label: &str, tone: Tone, text: &str) {
    let width = LABEL - 2;
    page.wrapped(LABEL, Line::new().tone(Tone::Dim, format!("  {label:<width$}")).tone(tone, text));
}
