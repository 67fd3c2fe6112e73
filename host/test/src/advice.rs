//! Remedies for failures, for the author of a plugin or of its app.

use frond_root::{Failure, FailureKind};

const RECURSION: &str = "a loop with an explicit stack has no limit of recursion";

/// Words of a trap's message, and the advice against their cause. Messages are for people: a guest
/// that fakes one only changes the advice that its author reads.
const TRAPS: [(&[&str], &str); 5] = [
    (
        &["FileNotFoundError", "PermissionError", "No such file"],
        "a plugin sees no files but those below `directories` under [grants] in frond.toml",
    ),
    (&["RecursionError", "call stack exhausted"], RECURSION),
    (&["console is not defined"], "the engine, QuickJS, has no console: a plugin can throw an Error with its message"),
    (&["called exit"], "a plugin ends by returning a result, or one of the contract's failures: it does not exit"),
    (
        &["is not of the contract's type"],
        "`process` returns bytes, and fails with invalid-query, invalid-partition or unavailable: see wit/world.wit",
    ),
];

/// Returns the general remedy for a failure, if there is one. The failure's own message says how to
/// raise the limit that caused it.
#[must_use]
pub fn advice(failure: &Failure) -> Option<String> {
    Some(match failure.kind {
        FailureKind::OutOfFuel => "smaller partitions need less fuel each".to_owned(),
        FailureKind::OutOfMemory => "a leaf that imports `source` can pull its partition in pieces".to_owned(),
        FailureKind::OutputTooLarge => "a summary, or the best few, is a smaller result".to_owned(),
        FailureKind::OutOfTime => {
            "smaller partitions take less time each; `emit-partial` hands over a partial before the end".to_owned()
        }
        FailureKind::HostCallDenied if failure.limit.is_some() => {
            "reads and writes of larger pieces need fewer calls".to_owned()
        }
        FailureKind::HostCallDenied => "grant it under [grants] in frond.toml".to_owned(),
        FailureKind::Incompatible => "frond inspect FILE says what differs from the contract".to_owned(),
        FailureKind::InvalidQuery | FailureKind::InvalidPartition | FailureKind::Unavailable => {
            format!(
                "the plugin itself returns this failure; a case that expects it has failure = \"{}\" under [expect]",
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
