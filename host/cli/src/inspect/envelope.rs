//! JSON report of `frond inspect`.

use anyhow::Context;
use frond_sandbox::component::Origin;
use frond_sandbox::inspect::Report;
use frond_sandbox::inspect::report::Listed;
use serde_json::{Value, json};

use super::inspected::{Compiled, InspectedFile, halves};
use crate::exit::MachineFault;
use crate::show::text::sanitise;

/// Version of the report: it increases when a field changes its meaning or is removed. New fields
/// may appear in any version.
const VERSION: u32 = 1;
/// Limit on the characters of one text.
const MAX_TEXT: usize = 4096;

/// Returns the report on all files as one JSON object with a line feed.
pub(super) fn envelope(files: &[InspectedFile]) -> anyhow::Result<Vec<u8>> {
    let fits = files.iter().all(InspectedFile::fits);
    let components: Vec<Value> = files.iter().map(component).collect();
    let all = json!({ "version": VERSION, "fits": fits, "components": components });
    let mut bytes = serde_json::to_vec(&all).context(MachineFault::new("the report could not be written"))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn component(file: &InspectedFile) -> Value {
    let named: Vec<String> = file.named.iter().map(ToString::to_string).collect();
    let mut all = json!({
        "file": sanitise(&file.path.display().to_string(), MAX_TEXT),
        "named": named,
        "fits": file.fits(),
        "size": file.size,
        "sha256": file.digest,
        "compiled": compiled(&file.compiled),
    });
    let more = match &file.report {
        Ok(report) => described(report),
        Err(misfit) => {
            let (text, hint) = halves(&misfit.to_string());
            json!({ "misfit": { "text": safe(&text), "hint": safe(&hint) } })
        }
    };
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

fn described(report: &Report) -> Value {
    let roles: Vec<Value> = report
        .roles
        .iter()
        .map(|fit| {
            let mut role = json!({ "role": fit.role.to_string(), "fits": fit.mismatch.is_none() });
            if let (Some(mismatch), Value::Object(role)) = (&fit.mismatch, &mut role) {
                let why = json!({
                    "kind": mismatch.kind.slug(), "text": safe(&mismatch.text), "hint": safe(&mismatch.hint)
                });
                role.insert("why".to_owned(), why);
            }
            role
        })
        .collect();
    let asks: Vec<&str> = report.asks.iter().map(|ask| ask.prefix()).collect();
    let demand = report.demand;
    json!({
        "roles": roles,
        "may_use": asks,
        "imports": listed(&report.imports, |name| json!(safe(name))),
        "exports": listed(&report.exports, |name| json!(safe(name))),
        "packages": listed(&report.packages, |name| json!(safe(name))),
        "core_modules": report.modules,
        "inner_components": report.components,
        "instance": {
            "known": demand.is_known,
            "core_instances": demand.instances,
            "memories": demand.memories,
            "memory_min": demand.memory_min,
            "memory_max": demand.memory_max,
            "tables": demand.tables,
            "table_min": demand.table_min,
        },
        "producers": listed(&report.producers, |one| {
            json!({ "field": safe(&one.field), "name": safe(&one.name), "version": safe(&one.version) })
        }),
        "custom_sections": listed(&report.sections, |one| {
            json!({ "name": safe(&one.name), "count": one.count, "size": one.size })
        }),
        "function_names": report.has_function_names,
        "debug_info": report.debug_info,
    })
}

fn listed<T>(list: &Listed<T>, each: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = list.items.iter().map(each).collect();
    json!({ "items": items, "more": list.more })
}

fn compiled(compiled: &Compiled) -> Value {
    match compiled {
        Compiled::NotAsked => json!({ "state": "not-asked" }),
        Compiled::NoUse => json!({ "state": "no-use" }),
        Compiled::Refused => json!({ "state": "refused" }),
        Compiled::Done { origin, took } => {
            let state = match origin {
                Origin::Compiled => "compiled",
                Origin::Cached => "cached",
            };
            json!({ "state": state, "ms": took.as_secs_f64() * 1e3 })
        }
    }
}

/// Replaces control characters line by line: Frond's own messages may have two lines.
fn safe(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| sanitise(line, MAX_TEXT)).collect();
    lines.join("\n")
}
