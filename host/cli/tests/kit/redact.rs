//! What differs from run to run, taken out.

use serde_json::Value;

use super::Ended;

/// Without times, without frames of libraries, and without the lines that only the first run of a component writes.
pub fn plain(text: &str) -> String {
    let lasting = |line: &&str| {
        let (begins, ends) = (|text| line.starts_with(text), |text| line.ends_with(text));
        let first_run =
            begins("compiled ") && ends(" s") || begins("compiling ") && ends("it is kept for the next time");
        // Another test may have checked them.
        let laws = begins("note: nobody has checked") || begins("(frond test ");
        !first_run && !laws
    };
    let lines =
        text.lines().filter(lasting).map(|line| timeless(line).trim_end().to_owned() + "\n").collect::<String>();
    without_libraries(&lines)
}

/// Whether a frame is one of the standard library or the C library: which there are depends on their versions.
fn is_library(name: &str) -> bool {
    let sleeps = ["poll_method_pollable_block", "poll_oneoff", "clock_nanosleep", "sleep", "nanosleep"];
    sleeps.contains(&name) || name.starts_with("std::") || name.starts_with("core::")
}

/// Removes frames of libraries, and numbers the others anew. A list of frames that was clipped because of them loses its
/// last line, too.
fn without_libraries(text: &str) -> String {
    let (mut kept, mut gone) = (String::new(), 0);
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

/// Each number with a unit of time after it as `[time]`.
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

/// The exit code and stderr, for snapshots.
pub fn outcome(ended: &Ended) -> String {
    let code = ended.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    format!("exit {code}\n{}", plain(&ended.err())).trim_end().to_owned()
}

/// JSON without times, ids, and frames of libraries.
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
        // Another test may have checked them.
        Value::String(_) if key == "laws" => *value = Value::from("[hold or unchecked]"),
        _ => {}
    }
}
