//! Rule for bounds without a setting: `host/docs/limits.md` lists each such constant with its
//! value.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Complaint, Text, sources};
use crate::limits::{LISTED, number as number_of};

/// Members for tests and measurements, whose constants bound no user.
const UNBOUND: [&str; 3] = ["bench", "fuzz", "testkit"];
/// Folders whose constants bound only the display on a terminal.
const SHOWN: [&str; 2] = ["cli/src/show/", "cli/src/inspect/"];
/// Types of constants that may be bounds, alone or in a tuple.
const TYPES: [&str; 8] = ["u8", "u16", "u32", "u64", "usize", "i32", "i64", "Duration"];

/// Constants that are not bounds, by file: paces, shares, versions, buffer sizes, defaults of
/// settings.
const OTHERS: &[(&str, &[&str])] = &[
    ("app/src/app.rs", &["DEFAULT_DEADLINE"]),
    ("app/src/fuzzing.rs", &["LIMIT"]),
    ("app/src/limits.rs", &["MIB"]),
    ("app/src/load/grants.rs", &["DEFAULT_BODY"]),
    ("app/src/source.rs", &["QUICK_PARTITIONS", "QUICK_BYTES"]),
    ("app/src/source/cut.rs", &["PIECES_PER_SLOT", "BLOCK"]),
    ("app/src/source/open.rs", &["SYSFS"]),
    ("app/src/source/range.rs", &["STEPS_PER_SLOT"]),
    ("app/src/source/stamp.rs", &["TAIL", "LIVELY"]),
    ("app/src/source/stdin.rs", &["STDIN_PIECE", "BLOCK"]),
    ("broker/src/nats.rs", &["OLDEST", "PING"]),
    ("broker/src/nats/discovery.rs", &["VERSION"]),
    ("broker/src/nats/inlet.rs", &["COPIED"]),
    ("broker/src/nats/root_side.rs", &["PACE"]),
    ("broker/src/nats/worker_side.rs", &["PACE"]),
    ("jobs/src/store/postgres/dialect.rs", &["CALLERS"]),
    ("sandbox/src/compiler/child.rs", &["CODE", "BROKEN", "TOO_DEMANDING", "TOO_COSTLY", "PROPOSALS", "ENGINE"]),
    ("sandbox/src/compiler/spawn.rs", &["SIGABRT", "SIGXCPU"]),
    ("sandbox/src/files/threads.rs", &["QUEUED", "RUNNING", "DONE", "GONE"]),
    ("cli/src/doctor.rs", &["NAME"]),
    ("cli/src/jobs/local.rs", &["LEASE"]),
    ("cli/src/jobs/watching.rs", &["LONGEST", "SHORTEST", "PAUSES", "AWAY"]),
    ("cli/src/loading.rs", &["LARGE"]),
    ("cli/src/out/queue.rs", &["CHUNK"]),
    ("cli/src/plan/calibrate.rs", &["WARM"]),
    ("cli/src/plan/measurements.rs", &["USUAL_FAN_IN"]),
    ("cli/src/record.rs", &["FLUSH_EVERY"]),
    ("cli/src/serve.rs", &["ORDERS"]),
    ("cli/src/test/watch.rs", &["SETTLED", "PATIENCE"]),
    ("jobs/src/job_run/event_buffer.rs", &["QUIET"]),
    ("jobs/src/job_run/lease.rs", &["BEAT", "HEARD", "RENEWED", "UNUSED", "PAUSES"]),
    ("jobs/src/job_run/plan.rs", &["PAGE"]),
    ("jobs/src/eta.rs", &["ENOUGH", "STALLED_MS"]),
    ("jobs/src/partial.rs", &["BATCH"]),
    ("jobs/src/processor.rs", &["LIVES"]),
    ("jobs/src/store/postgres.rs", &["FRESH"]),
    ("jobs/src/store/postgres/sizes.rs", &["CHUNK"]),
    ("jobs/src/store/postgres/schema.rs", &["LOCK", "LOOKS"]),
    ("jobs/src/store/rules.rs", &["MOST", "HEADROOM"]),
    ("jobs/src/store/sqlite/blobs.rs", &["INLINE"]),
    ("jobs/src/store/sqlite/open.rs", &["APPLICATION", "CHECKED"]),
    ("jobs/src/store/sql/sweep.rs", &["CHUNK"]),
    ("jobs/src/store/sqlite/sweep.rs", &["PAGES"]),
    ("jobs/src/store/sqlite/writer.rs", &["BATCH", "WAIT", "RESERVE"]),
    ("plan/src/inputs.rs", &["MEDIUM", "HIGH"]),
    ("plan/src/limits.rs", &["TRIED", "STEPS"]),
    ("plan/src/order_statistics.rs", &["STEPS", "HALVINGS"]),
    ("plan/src/plan.rs", &["POINTS", "DRAWS", "DRAWS_OF_A_POINT"]),
    ("plan/src/prediction.rs", &["LEAST_QUERIES"]),
    ("plan/src/report.rs", &["VERSION"]),
    ("plan/src/special.rs", &["SUMMED"]),
    ("plan/src/tail.rs", &["HALVINGS"]),
    ("plan/src/usl.rs", &["LEAST_POINTS", "STEPS"]),
    ("plan/src/value.rs", &["MAX_DECIMALS", "LEAST"]),
    ("root/src/work.rs", &["MIN_TIME"]),
    ("root/src/event.rs", &["FORMAT_VERSION"]),
    ("root/src/flow/gathering.rs", &["IDLE_FOLD", "UNREAD_SHARE", "NEWS"]),
    ("root/src/flow/journaling.rs", &["PAGE_SHARE"]),
    ("root/src/flow/preview.rs", &["SHARE"]),
    ("root/src/merge.rs", &["CHARGE"]),
    ("root/src/merge/fold.rs", &["FAN_IN", "WORTH", "SMALL"]),
    ("root/src/policy/admission.rs", &["HEARING", "AGAIN", "SECOND"]),
    ("root/src/policy/budget.rs", &["MIN_RESERVE", "MIN_REPLY"]),
    ("root/src/policy/cutting.rs", &["MIN_REST", "MIN_PRICES"]),
    ("root/src/policy/hedge.rs", &["MEDIANS", "APP_MEDIANS", "LAST_COPIES", "CLASSES"]),
    ("root/src/policy/retry.rs", &["BUCKET"]),
    ("root/src/scatter.rs", &["COOL_DOWN"]),
    ("root/src/scatter/shares.rs", &["STARTS"]),
    ("root/src/share.rs", &["PIECE_TIME", "FIRST_BYTES", "LEAST_BYTES", "GROWTH"]),
    ("run/src/envelope.rs", &["VERSION", "CHUNK"]),
    ("sandbox/src/inline.rs", &["SMALL", "AT_MOST", "BRIEF", "IN_A_ROW"]),
    ("sandbox/src/cache.rs", &["CHUNK", "TRAILER", "ABANDONED"]),
    ("sandbox/src/clock.rs", &["AGAIN", "NEVER", "AWAKE"]),
    ("sandbox/src/engine.rs", &["KEEP_MEMORY", "KEEP_TABLE"]),
    ("sandbox/src/host.rs", &["EPOCH"]),
    ("sandbox/src/http.rs", &["CHUNK"]),
    ("sandbox/src/http/send.rs", &["BUFFER"]),
    ("sandbox/src/slot_engines.rs", &["OFTEN"]),
    ("sandbox/src/output.rs", &["WRITE"]),
    ("sandbox/src/profile.rs", &["MIN_INTERVAL", "MIN_FUEL"]),
    ("sandbox/src/slots.rs", &["TURN", "STEP_BACK"]),
    ("sandbox/src/tuning.rs", &["FRUGAL_MEMORY"]),
    ("deploy/src/folder.rs", &["RACY", "CHUNK", "PARSED"]),
    ("deploy/src/commands.rs", &["START"]),
    ("deploy/src/reconciler.rs", &["STILL", "BLIND"]),
    ("deploy/src/pack.rs", &["FORMAT"]),
    ("deploy/src/state.rs", &["FORMAT"]),
    ("deploy/src/watch.rs", &["SOONEST", "LATEST"]),
    ("server/src/config/tokens.rs", &["TOKEN_BYTES"]),
    ("server/src/event_stream.rs", &["HEARTBEAT", "RETRY"]),
    ("server/src/fuzzing.rs", &["EVENTS"]),
    ("server/src/half_close.rs", &["FIRST_PAUSE", "GROWTH", "REFUSAL"]),
    ("jobs/src/service.rs", &["SWEEP", "LOOK", "PAUSES"]),
    ("server/src/jobs/api.rs", &["HISTORY"]),
    ("server/src/jobs/feed.rs", &["PACE", "BATCH"]),
    ("server/src/jobs/follow.rs", &["BATCH"]),
    ("server/src/jobs/views.rs", &["POLL_MS"]),
    ("server/src/listen.rs", &["REST"]),
    ("server/src/news.rs", &["NEWS"]),
    ("server/src/queries.rs", &["LIST"]),
    ("server/src/queries/events.rs", &["PACE", "BATCH"]),
    ("server/src/recent.rs", &["EVENT_BYTES", "RUNNING_SHARE"]),
    ("server/src/recent/preview.rs", &["PREVIEW"]),
    ("server/src/stream.rs", &["PACE"]),
    ("server/src/tls.rs", &["EVERY"]),
    ("server/src/traces.rs", &["BATCH"]),
    ("sim/src/random.rs", &["GOLDEN"]),
    ("sim/src/setup.rs", &["LEAF", "QUERY"]),
    ("sim/src/totals.rs", &["VERSION"]),
    ("test/src/capture.rs", &["VERSION"]),
    ("test/src/diff.rs", &["CONTEXT"]),
    ("test/src/laws.rs", &["TREES", "SLACK"]),
    ("test/src/laws/warm.rs", &["SEQUENCES", "REPEATS"]),
    // Numbers of the kernel's interface.
    (
        "wall/src/linux/calls.rs",
        &[
            "CLONE_THREAD",
            "THREAD",
            "DETACHED",
            "FUTEX_OPERATION",
            "MAP_PRIVATE",
            "MAP_COUNTED",
            "WRITABLE",
            "EXECUTABLE",
            "DONTNEED",
            "GUARD_INSTALL",
            "GUARD_REMOVE",
            "PIDFD_SELF",
            "SET_FILTER",
            "ALL_THREADS",
            "PAGEMAP_SCAN",
            "SOL_SOCKET",
            "AF_UNIX",
            "SOCK_STREAM",
            "SOCKET_KIND",
            "PRIO_PROCESS",
        ],
    ),
    ("wall/src/linux/landlock.rs", &["ASK_VERSION", "WITH_TCP", "WITH_SCOPES"]),
    ("wall/src/linux/limits.rs", &["FIRST_OTHER"]),
];

/// A constant of a number, a time, or a tuple of them.
struct Constant {
    line: usize,
    name: String,
    value: String,
}

/// Bounds that the list lacks or has with another value, and listed constants that no longer exist.
#[must_use]
pub fn bounds(root: &Path) -> Vec<Complaint> {
    let text = std::fs::read_to_string(root.join(LISTED)).unwrap_or_default();
    let mut rows = BTreeSet::new();
    let mut complaints = Vec::new();
    for source in sources(root).filter(is_bounding) {
        let Ok(path) = source.path.strip_prefix("host") else { continue };
        let path = path.to_string_lossy().into_owned();
        let others = OTHERS.iter().find(|(file, _)| *file == path).map_or(&[][..], |(_, names)| names);
        for constant in constants(&source.text).filter(|constant| !others.contains(&constant.name.as_str())) {
            let start = format!("| `{path}` `{}` |", constant.name);
            let row = text.lines().find(|line| line.starts_with(&start));
            let spellings = spellings(&constant);
            let is_right =
                |row: &str| row[start.len()..].split('|').next().is_some_and(|cell| spellings.contains(cell.trim()));
            if !row.is_some_and(is_right) {
                let value = spellings.first().cloned().unwrap_or_default();
                let rule = format!("`{}` is a bound that {LISTED} does not list with its value", constant.name);
                let remedy = format!(
                    "write `{start} {value} | what it bounds |` there, or name it in tidy/bounds.rs if it bounds nobody"
                );
                complaints.push(source.complain(constant.line, rule, remedy));
            }
            rows.insert(start);
        }
    }
    let listed = Text { path: LISTED.into(), text };
    for (number, row) in
        listed.text.lines().enumerate().filter(|(_, row)| row.starts_with("| `") && row.contains(".rs` `"))
    {
        if !rows.iter().any(|start| row.starts_with(start.as_str())) {
            let rule = "there is no such constant any more, or it is called something else";
            complaints.push(listed.complain(number + 1, rule, "take the row out, or name the constant that there is"));
        }
    }
    complaints
}

fn is_bounding(source: &Text) -> bool {
    let is_shown = |path: &Path| SHOWN.iter().any(|folder| path.starts_with(Path::new("host").join(folder)));
    let in_src = source.path.iter().nth(2).is_some_and(|folder| folder == "src");
    let member = source.member().filter(|(parent, _)| *parent == "host");
    in_src
        && !source.is_test()
        && !is_shown(&source.path)
        && member.is_some_and(|(_, member)| !UNBOUND.contains(&member))
}

/// Constants of a source that may be bounds.
fn constants(text: &str) -> impl Iterator<Item = Constant> {
    let code = text.lines().take_while(|line| *line != "mod tests {");
    code.enumerate().filter_map(|(number, line)| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub").map_or(line, |rest| {
            let rest = rest.trim_start();
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest).trim_start()
        });
        let (name, rest) = line.strip_prefix("const ")?.split_once(": ")?;
        let (kind, value) = rest.split_once(" = ")?;
        let mut kinds = kind.split(['(', ')', ',', ' ']).filter(|kind| !kind.is_empty());
        let value = value.split_once(';').map_or(value, |(value, _)| value).trim().to_owned();
        (name != "_" && kinds.all(|kind| TYPES.contains(&kind))).then(|| Constant {
            line: number + 1,
            name: name.to_owned(),
            value,
        })
    })
}

/// Allowed spellings of a constant's value: in whole units, or in full.
fn spellings(constant: &Constant) -> BTreeSet<String> {
    let value = constant.value.as_str();
    let parts: Vec<&str> = match value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        // A sum in parentheses has no comma.
        Some(tuple) if tuple.contains(", ") => tuple.split(", ").collect(),
        _ => vec![value],
    };
    let mut all = BTreeSet::from([String::new()]);
    for part in parts {
        let each = spelled(part, constant.name.ends_with("_MS"));
        let joined = all.iter().flat_map(|start| {
            each.iter().map(move |end| if start.is_empty() { end.clone() } else { format!("{start}, {end}") })
        });
        all = joined.collect();
    }
    all
}

fn spelled(value: &str, is_ms: bool) -> Vec<String> {
    let time = value.strip_prefix("Duration::from_").and_then(|rest| rest.strip_suffix(')')?.split_once('('));
    let time = match time {
        Some(("secs", number)) => product(number).map(|number| number * 1_000_000),
        Some(("millis", number)) => product(number).map(|number| number * 1_000),
        Some(("micros", number)) => product(number),
        Some(_) => None,
        None if is_ms => product(value).map(|number| number * 1_000),
        None => {
            let whole = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
            return product(value).map_or_else(|| vec![format!("`{value}`")], |number| units(number, &whole, true));
        }
    };
    let whole = [
        (86_400_000_000, "days"),
        (3_600_000_000, "h"),
        (60_000_000, "min"),
        (1_000_000, "s"),
        (1_000, "ms"),
        (1, "µs"),
    ];
    time.map_or_else(|| vec![format!("`{value}`")], |time| units(time, &whole, false))
}

/// A number in each unit that divides it, and also without a unit if `alone`.
fn units(number: u64, units: &[(u64, &str)], alone: bool) -> Vec<String> {
    let whole = units.iter().filter(|(unit, _)| number >= *unit && number.is_multiple_of(*unit));
    let spelled = whole.map(|(unit, name)| format!("{} {name}", number_of(number / unit)));
    spelled.chain(alone.then(|| number_of(number))).collect()
}

/// Evaluates sums, products and shifts of numbers.
fn product(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(inner) =
        text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).filter(|inner| !inner.contains('('))
    {
        return product(inner);
    }
    if let Some((one, other)) = text.split_once(" + ") {
        return product(one)?.checked_add(product(other)?);
    }
    if let Some((one, other)) = text.split_once(" << ") {
        return product(one)?.checked_shl(u32::try_from(product(other)?).ok()?);
    }
    if let Some((one, other)) = text.split_once(" * ") {
        return product(one)?.checked_mul(product(other)?);
    }
    text.replace('_', "").parse().ok()
}
