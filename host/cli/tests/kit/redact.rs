//! What differs from run to run, taken out.

use serde_json::Value;

use super::Ended;

/// Without times, and without the lines that only the first run of a component writes.
pub fn plain(text: &str) -> String {
    let lasting = |line: &&str| {
        let (begins, ends) = (|text| line.starts_with(text), |text| line.ends_with(text));
        let first_run =
            begins("compiled ") && ends(" s") || begins("compiling ") && ends("it is kept for the next time");
        // Another test may have checked them.
        let laws = begins("note: nobody has checked") || begins("(frond test ");
        !first_run && !laws
    };
    text.lines().filter(lasting).map(|line| timeless(line).trim_end().to_owned() + "\n").collect()
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

/// JSON without times and ids.
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
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, key)),
        Value::Number(_) if is_time => *value = Value::from("[time]"),
        Value::String(_) if key == "query" => *value = Value::from("[id]"),
        // Another test may have checked them.
        Value::String(_) if key == "laws" => *value = Value::from("[hold or unchecked]"),
        _ => {}
    }
}
