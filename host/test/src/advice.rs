//! What the author of a plugin, or of its app, can do about a failure.

use frond_app::Limits;
use frond_app::size::show_size;
use frond_root::FailureKind;

use crate::told::count;

/// The remedy, where there is a general one. `call` is `leaf`, `merge`, `finish`, `split` or `query`.
#[must_use]
pub fn advice(kind: FailureKind, call: &str, limits: &Limits) -> Option<String> {
    let (section, own) = match call {
        "merge" | "finish" => ("merge", &limits.merge),
        "split" => ("split", &limits.split),
        _ => ("leaf", &limits.leaf),
    };
    let raise = |key: &str, now: String| format!("limits.{section}.{key} in frond.toml is {now}");
    Some(match kind {
        FailureKind::OutOfFuel => {
            let now = own.fuel.map_or("none".to_owned(), count);
            format!("{}: raise it, or cut the work into smaller partitions", raise("fuel", now))
        }
        FailureKind::OutOfMemory => {
            let now = show_size(own.memory);
            format!(
                "{}: raise it, or let the leaf import `source` and pull its partition in pieces",
                raise("memory", now)
            )
        }
        FailureKind::OutputTooLarge => {
            format!("{}: raise it, or return less: a summary, the best few", raise("output", show_size(own.output)))
        }
        FailureKind::OutOfTime => {
            "raise the deadline, cut the work into smaller partitions, or hand over what is there with `emit-partial`"
                .to_owned()
        }
        FailureKind::HostCallDenied => {
            "grant it under [grants] in frond.toml, or raise limits.leaf.host-calls".to_owned()
        }
        FailureKind::Incompatible => "frond inspect FILE says what differs from the contract".to_owned(),
        _ => return None,
    })
}
