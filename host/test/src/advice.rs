//! What the author of a plugin, or of its app, can do about a failure.

use frond_app::Limits;
use frond_app::size::show_size;
use frond_root::{Failure, FailureKind};

use crate::came::Headroom;
use crate::told::{count, millis};

const RECURSION: &str = "a loop with a list of what is to be done has no such limit as recursion has";

/// Words of a trap's message, and what helps against what they say. Messages are for people: a guest that fakes one gets
/// the advice that it asked for.
const TRAPS: [(&[&str], &str); 5] = [
    (
        &["FileNotFoundError", "PermissionError", "No such file"],
        "a plugin sees no files but those below `directories` under [grants] in frond.toml",
    ),
    (&["RecursionError", "call stack exhausted"], RECURSION),
    (
        &["console is not defined"],
        "the engine, QuickJS, has no console: what a plugin has to say, it throws as an Error",
    ),
    (&["called exit"], "a plugin ends by returning a result, or one of the contract's failures: it does not exit"),
    (
        &["is not of the contract's type"],
        "`process` returns bytes, and fails with invalid-query, invalid-partition or unavailable: see wit/world.wit",
    ),
];

/// The remedy, where there is a general one. `call` is `leaf`, `merge`, `finish`, `split` or `query`; `case` is what the
/// limits were that it ran under, where they may be lower than the app's.
#[must_use]
pub fn advice(failure: &Failure, call: &str, limits: &Limits, case: &[Headroom]) -> Option<String> {
    let (section, own) = match call {
        "merge" | "finish" => ("merge", &limits.merge),
        "split" => ("split", &limits.split),
        _ => ("leaf", &limits.leaf),
    };
    let raise = |key: &str, now: u64, shown: &dyn Fn(u64) -> String| match case.iter().find(|one| one.of == key) {
        Some(lower) if lower.limit < now => format!("[limits] {key} of this case is {}", shown(lower.limit)),
        _ => format!("limits.{section}.{key} in frond.toml is {}", shown(now)),
    };
    Some(match failure.kind {
        FailureKind::OutOfFuel => {
            let now = raise("fuel", own.fuel.unwrap_or(u64::MAX), &count);
            format!("{now}: raise it, or cut the work into smaller partitions")
        }
        FailureKind::OutOfMemory => {
            let now = raise("memory", own.memory, &show_size);
            format!("{now}: raise it, or let the leaf import `source` and pull its partition in pieces")
        }
        FailureKind::OutputTooLarge => {
            format!("{}: raise it, or return less: a summary, the best few", raise("output", own.output, &show_size))
        }
        FailureKind::OutOfTime => {
            let time = case
                .iter()
                .find(|one| one.of == "time")
                .map_or_else(String::new, |time| format!("it had {}: ", millis(time.limit as f64 / 1e3)));
            format!(
                "{time}raise the deadline, cut the work into smaller partitions, or hand over what is there with \
                 `emit-partial`"
            )
        }
        FailureKind::HostCallDenied if failure.message.contains("calls to the host") => {
            format!("limits.{section}.host-calls in frond.toml is the most of them: call less often, or raise it")
        }
        FailureKind::HostCallDenied => "grant it under [grants] in frond.toml".to_owned(),
        FailureKind::Incompatible => "frond inspect FILE says what differs from the contract".to_owned(),
        FailureKind::InvalidQuery | FailureKind::InvalidPartition | FailureKind::Unavailable => {
            format!(
                "the plugin says so itself; a case that wants it to has failure = \"{}\" under [expect]",
                failure.kind
            )
        }
        FailureKind::Trap => {
            let says = |words: &&str| failure.message.contains(words);
            let is_deep = matches!(failure.backtrace.as_slice(), [a, b, c, ..] if a == b && b == c);
            let known = TRAPS.iter().find(|(words, _)| words.iter().any(says)).map(|(_, advice)| *advice);
            known.or(is_deep.then_some(RECURSION))?.to_owned()
        }
        _ => return None,
    })
}
