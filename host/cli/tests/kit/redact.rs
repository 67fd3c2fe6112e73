//! Redaction of output that differs from run to run.

use serde_json::Value;

use super::Ended;

/// Removes times, frames of libraries, and the lines that only the first run of a component writes.
pub fn plain(text: &str) -> String {
    let lasting = |line: &&str| {
        let begins = |text| line.starts_with(text);
        let ends = |text| line.ends_with(text);
        let first_run = begins("compiled ") && ends(" s") || begins("compiling ") && ends("the result is cached");
        // Another test may have checked the laws.
        let laws = begins("note: nobody has checked") || begins("(frond test ");
        !first_run && !laws
    };
    let lines =
        text.lines().filter(lasting).map(|line| timeless(line).trim_end().to_owned() + "\n").collect::<String>();
    without_libraries(&lines)
}

/// Returns true for a frame of the standard library or the C library: these depend on their
/// versions.
fn is_library(name: &str) -> bool {
    let sleeps = ["poll_method_pollable_block", "poll_oneoff", "clock_nanosleep", "sleep", "nanosleep"];
    sleeps.contains(&name) || name.starts_with("std::") || name.starts_with("core::")
}

/// Removes frames of libraries, and renumbers the others. A list of frames that was cut off because
/// of them also loses its last line.
fn without_libraries(text: &str) -> String {
    let mut kept = String::new();
    let mut gone = 0;
    for line in text.lines() {
        let frame =
            line.trim_start().split_once(": ").and_then(|(number, name)| Some((number.parse::<usize>().ok()?, name)));
        match frame {
            Some((_, name)) if is_library(name) => {
                gone += 1;
                continue;
            }
            Some((number, _)) if gone > 0 => {
                kept.push_str(&line.replacen(&number.to_string(), &(number - gone).to_string(), 1));
            }
            Some(_) => kept.push_str(line),
            None if gone > 0 && line.trim_start().starts_with("and ") => continue,
            None => {
                gone = 0;
                kept.push_str(line);
            }
        }
        kept.push('\n');
    }
    kept
}

/// Replaces each number before a unit of time by `[time]`.
fn timeless(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let units = ["µs", "us", "ms", "s"];
    for word in line.split(' ') {
        let bare = word.trim_end_matches([',', ')', ':']);
        let after_number = words.last().is_some_and(|last| last.trim_start_matches('(').parse::<f64>().is_ok());
        if units.contains(&bare) && after_number {
            words.pop();
            words.push("[time]");
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

/// Returns the exit code and stderr, for snapshots.
pub fn outcome(ended: &Ended) -> String {
    let code = ended.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    format!("exit {code}\n{}", plain(&ended.err())).trim_end().to_owned()
}

/// Removes times, ids, and frames of libraries from JSON.
pub fn lasting(mut json: Value) -> Value {
    redact(&mut json, "");
    json
}

fn redact(value: &mut Value, key: &str) {
    let is_time =
        matches!(key, "timings" | "at" | "unix_ms" | "leaf_deadline" | "gather_deadline" | "ms" | "times_median");
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                redact(field, if is_time { key } else { name });
            }
        }
        Value::Array(items) => {
            if key == "backtrace" {
                items.retain(|frame| !frame.as_str().is_some_and(is_library));
            }
            items.iter_mut().for_each(|item| redact(item, key));
        }
        Value::Number(_) if is_time => *value = Value::from("[time]"),
        Value::String(_) if key == "query" => *value = Value::from("[id]"),
        // Another test may have checked the laws.
        Value::String(_) if key == "laws" => *value = Value::from("[hold or unchecked]"),
        _ => {}
    }
}
