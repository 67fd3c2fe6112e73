//! The leaf's commands.

#![expect(clippy::disallowed_methods, reason = "to write is what it is told")]

use std::hint::black_box;
use std::io::Write;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use frond_plugin::{Failure, Raw, emit_partial, pieces, source};
use serde_json::json;

use crate::lines::{self, Mistake};
use crate::outside;
use crate::partial::{Output, Partial};

/// Size of a huge output in bytes: 16 MiB, more than any output limit.
pub const HUGE: usize = 16 << 20;

/// Size of a flood of the log, in bytes.
const FLOOD: usize = 100 << 20;

/// Result of a command.
pub type Result = std::result::Result<Output<Partial>, Failure>;

/// Arguments of a command: its partition's key, its text (`0` if it has none), the text as a number
/// (0 if it is none), and the age of the instance.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    key: &'a str,
    number: u64,
    text: &'a str,
    /// Number of earlier calls of the instance.
    served: u64,
}

/// Number of calls of the instance.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Name and function of a command.
pub type Command = (&'static str, fn(Order<'_>) -> Result);

/// All commands of the leaf. A command with a number is written `name:number`, one with a text
/// `name:text`.
pub const COMMANDS: &[Command] = &[
    ("ok", ok),
    // These die at once.
    ("trap", |_| trap()),
    ("panic", |order| panic(order.key)),
    ("abort", |_| abort()),
    ("exit", |_| exit()),
    ("recurse", |_| recurse()),
    ("recurse-wide", |_| recurse_wide()),
    // These take time: in the guest, in the host, or in many host calls.
    ("spin", |_| spin()),
    ("burn", burn),
    ("sleep", |_| sleep()),
    ("sleep-ms", sleep_ms),
    ("poll-forever", |_| outside::poll_forever()),
    ("read-source-forever", |_| read_source_forever()),
    // These take memory.
    ("grow-memory", |_| grow_memory()),
    ("grow-memory-quietly", |_| outside::grow_memory_quietly()),
    ("allocate-mib", allocate_mib),
    ("hold-mib", hold_mib),
    // These write a log or an output, most of them too much.
    ("say", say),
    ("flood-stdout", flood_stdout),
    ("flood-stderr", |order| flood_stderr().and_then(|()| ok(order))),
    ("huge-output", |_| Ok(Output::Bytes(HUGE))),
    ("text", |order| Ok(Output::Text(order.text.to_owned()))),
    ("output-bytes", |order| Ok(Output::Bytes(order.number as usize))),
    ("huge-emit", huge_emit),
    ("emit-flood", emit_flood),
    ("emit-bad-done", emit_bad_done),
    // These fail as the contract allows.
    ("invalid-query", |_| Err(Failure::invalid_query("as the query asked"))),
    ("invalid-partition", |_| Err(Failure::invalid_partition("as the query asked"))),
    ("unavailable", |_| Err(Failure::unavailable("as the query asked"))),
    // These hand over an early partial for half of the partition, and then do not finish.
    ("emit-then-spin", |order| emit_half(order).and_then(|()| spin())),
    ("emit-then-trap", |order| emit_half(order).and_then(|()| trap())),
    // These depend on what the instance has served before: a leaf must not.
    ("served", |order| report(order, json!({ "served": order.served }))),
    ("trap-after", |order| if order.served < order.number { ok(order) } else { trap() }),
    // These take their partition piece by piece: all of it, or one piece, after which they keep a
    // partial, return, skip the rest, or emit a partial.
    ("pieces", |order| Ok(taken(order, &mut Pieces::default(), usize::MAX))),
    ("keep-then-spin", |order| keep_one(order).and_then(|()| spin())),
    ("keep-then-trap", |order| keep_one(order).and_then(|()| trap())),
    ("pieces-early", |order| Ok(taken(order, &mut Pieces::default(), 1))),
    ("pieces-skip", pieces_skip),
    // This one asks the URL in its text before each piece, and keeps a partial after each.
    ("ask-for-pieces", ask_for_pieces),
    ("pieces-emit", |order| keep_one(order).and_then(|()| emit_half(order)).and_then(|()| ok(order))),
    // These count the lines that begin in their pieces, and list them: rightly, or with a mistake
    // that shows when the partition is cut.
    ("lines", |_| lines(None)),
    ("lines-peek", |_| lines(Some(Mistake::Peek))),
    ("lines-drop", |_| lines(Some(Mistake::Drop))),
    ("lines-early", |_| lines(Some(Mistake::Early))),
    ("lines-keep-behind", |_| lines(Some(Mistake::KeepBehind))),
    ("lines-remember", |_| lines(Some(Mistake::Remember))),
    // These do it through the SDK's reader: they keep rightly, without the latest line, or never.
    ("read-lines", |_| lines::read(|_, after| Some(after)).map(Output::Value)),
    ("read-lines-keep-behind", |_| lines::read(|before, _| Some(before)).map(Output::Value)),
    ("read-lines-keep-none", |_| lines::read(|_, _| None).map(Output::Value)),
    // These report their environment.
    ("clock", |order| report(order, outside::clock())),
    ("env", |order| report(order, outside::everything())),
    ("files", |order| report(order, outside::files(order.text))),
    // These read a file, open it again and again, or count a folder's entries. On an error they
    // fail as `unavailable`.
    ("read-file", |order| report(order, outside::read_file(order.text)?)),
    ("open-many", |order| outside::open_many(order.text).and_then(|()| ok(order))),
    ("list-folder", |order| report(order, outside::list_folder(order.text)?)),
    ("config", |order| report(order, outside::config(order.text))),
    ("sockets", |order| outside::socket().and_then(|()| ok(order))),
    // These send an HTTP request. The words of the text are a method, a URL, and the size of the
    // body in bytes.
    ("http", |order| report(order, outside::http(order.text)?)),
    ("http-quietly", |order| report(order, outside::http_quietly(order.text))),
    ("http-panic", |order| http_panic(order)),
    ("http-invalid", |order| http_invalid(order)),
    ("remaining", |order| report(order, json!({ "remaining-ms": frond_plugin::remaining().as_millis() as u64 }))),
    ("read-source", read_source),
    ("read-source-huge-len", read_source_huge_len),
    ("read-source-at", |order| report(order, json!({ "read": source::read(order.number, 16).len() }))),
];

/// Runs a command, written as `name`, `name:number` or `name:text`. An unknown command is `ok`.
pub fn obey(command: &str, key: &str) -> Result {
    let (name, text) = command.split_once(':').unwrap_or((command, "0"));
    let served = CALLS.fetch_add(1, Ordering::Relaxed);
    let order = Order { key, number: text.parse().unwrap_or(0), text, served };
    let run = COMMANDS.iter().find(|(known, _)| *known == name).map_or(ok as fn(Order<'_>) -> Result, |(_, run)| *run);
    run(order)
}

fn ok(order: Order<'_>) -> Result {
    Ok(Output::Value(Partial::one(order.key)))
}

fn report(order: Order<'_>, report: serde_json::Value) -> Result {
    Ok(Output::Value(Partial::report(order.key, report)))
}

/// Executes `unreachable`, without a message.
pub fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    outside::sandbox_only()
}

/// Panics with a message that names `key`.
#[expect(clippy::panic, reason = "that is the command")]
pub fn panic(key: &str) -> ! {
    panic!("as the query asked for {key}")
}

/// Aborts the program.
pub fn abort() -> ! {
    std::process::abort()
}

/// Exits the program with code 3.
pub fn exit() -> ! {
    std::process::exit(3)
}

/// Runs forever without a host call.
pub fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Runs `burn:N`: N million rounds of a loop, then success. It is work that reads no clock.
fn burn(order: Order<'_>) -> Result {
    for round in 0..order.number * 1_000_000 {
        black_box(round);
    }
    ok(order)
}

/// Sleeps forever, in host calls of one hour.
pub fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn sleep_ms(order: Order<'_>) -> Result {
    std::thread::sleep(Duration::from_millis(order.number));
    ok(order)
}

/// Recurses until the stack overflows. The array, and the code after the call, prevent the
/// optimizer from making it a loop.
pub fn recurse() -> ! {
    fn deeper(depth: u64) -> u64 {
        let frame = black_box([depth; 64]);
        let below = if black_box(true) { deeper(depth + 1) } else { 0 };
        below + frame.iter().sum::<u64>()
    }
    black_box(deeper(0));
    spin()
}

/// Recurses with frames so large that the guest's shadow stack, in its linear memory, overflows
/// before the host's stack.
fn recurse_wide() -> ! {
    fn deeper(depth: u64) -> u64 {
        let frame = black_box([depth; 4096]);
        let below = if black_box(true) { deeper(depth + 1) } else { 0 };
        below + frame.iter().sum::<u64>()
    }
    black_box(deeper(0));
    spin()
}

/// Allocates and touches memory, 1 MiB at a time, until there is none left.
pub fn grow_memory() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Allocates and fills 40 MiB, more than the memory of an inline call.
pub fn allocate() -> std::result::Result<(), Failure> {
    black_box(vec![1_u8; 40 << 20]);
    Ok(())
}

/// Runs `allocate-mib:N`: allocates and touches N MiB, then succeeds.
fn allocate_mib(order: Order<'_>) -> Result {
    black_box(vec![1_u8; (order.number as usize) << 20]);
    ok(order)
}

/// Runs `hold-mib:N`: allocates and touches N MiB, then sleeps forever.
fn hold_mib(order: Order<'_>) -> Result {
    let held = vec![1_u8; (order.number as usize) << 20];
    black_box(&held);
    sleep()
}

/// Fills 1 GiB. In wasm that is one instruction, during which no epoch or fuel check runs.
pub fn fill() -> std::result::Result<(), Failure> {
    black_box(vec![1_u8; 1 << 30]);
    Ok(())
}

/// Runs `say:TEXT`: writes a line to stdout and one to stderr, then succeeds.
fn say(order: Order<'_>) -> Result {
    let text = order.text;
    // A full log is no reason to fail.
    let _ = writeln!(std::io::stdout(), "said {text}");
    let _ = writeln!(std::io::stderr(), "muttered {text}");
    ok(order)
}

/// Writes terminal escape sequences, control characters, and lines of very different lengths to
/// `log`, until it has taken [`FLOOD`] bytes.
fn flood(mut log: impl Write) {
    let long = "long line ".repeat(10_000);
    let mut written = 0;
    for number in 0_u64.. {
        let line = match number % 4 {
            0 => format!("\x1b[2J\x1b[1;31mline {number}\x1b]0;title\x07\r\n"),
            1 => format!("line {number}: {long}\n"),
            2 => format!("line {number} \u{202e}\u{7}\0without an end"),
            _ => format!("\nline {number}\n"),
        };
        if written > FLOOD || log.write_all(line.as_bytes()).is_err() {
            break;
        }
        written += line.len();
    }
}

fn flood_stdout(order: Order<'_>) -> Result {
    flood(std::io::stdout());
    ok(order)
}

/// Writes 100 MiB of lines to the log.
pub fn flood_stderr() -> std::result::Result<(), Failure> {
    flood(std::io::stderr());
    Ok(())
}

fn huge_emit(order: Order<'_>) -> Result {
    emit_partial(Raw(vec![b'x'; HUGE]), 0.5)?;
    ok(order)
}

fn emit_flood(order: Order<'_>) -> Result {
    for number in 0..1_000_000 {
        emit_partial(Partial::one(order.key), f64::from(number) / 1e6)?;
    }
    ok(order)
}

fn emit_bad_done(order: Order<'_>) -> Result {
    for done in [f64::NAN, f64::INFINITY, -1.0, 7.0] {
        emit_partial(Partial::one(order.key), done)?;
    }
    ok(order)
}

#[expect(clippy::panic, reason = "that is the command")]
fn http_panic(order: Order<'_>) -> Result {
    match outside::http(order.text) {
        Ok(answer) => report(order, answer),
        Err(failure) => panic!("over {failure:?}"),
    }
}

fn http_invalid(order: Order<'_>) -> Result {
    let answer = outside::http(order.text).map_err(|failure| Failure::invalid_query(format!("{failure:?}")))?;
    report(order, answer)
}

fn emit_half(order: Order<'_>) -> std::result::Result<(), Failure> {
    emit_partial(Partial::one(order.key), 0.5)
}

/// Pieces that were taken so far.
#[derive(Default)]
struct Pieces {
    taken: Option<Range<u64>>,
}

impl Pieces {
    /// Takes at most `most` pieces.
    fn take(&mut self, most: usize) {
        for piece in iter::from_fn(pieces::next).take(most) {
            self.taken.get_or_insert(piece.clone()).end = piece.end;
        }
    }

    /// Makes a partial that reports the units of the pieces, under the key with the first unit.
    fn partial(&self, order: Order<'_>) -> Partial {
        let Range { start, end } = self.taken.clone().unwrap_or(0..0);
        Partial::report(&format!("{}@{start}", order.key), json!({ "begin": start, "end": end }))
    }
}

fn taken(order: Order<'_>, pieces: &mut Pieces, most: usize) -> Output<Partial> {
    pieces.take(most);
    Output::Value(pieces.partial(order))
}

/// Time for a unit, so that the size of the pieces does not depend on the machine.
const UNIT: Duration = Duration::from_micros(50);

/// Takes pieces, and keeps a partial after each. Before each it asks, and tells the units so far;
/// after the last it tells them, too. The count is the sum of the units' squares.
fn ask_for_pieces(order: Order<'_>) -> Result {
    let mut pieces = Pieces::default();
    let mut count = 0_u64;
    let tell = |what: &str, taken: Range<u64>| {
        let Range { start, end } = taken;
        outside::http(&format!("POST {}/{what}/{}/{start}-{end}", order.text, order.key)).map(drop)
    };
    loop {
        let before = pieces.taken.clone().unwrap_or(0..0);
        tell("next", before.clone())?;
        let begun = Instant::now();
        pieces.take(1);
        let Some(taken) = pieces.taken.clone().filter(|taken| *taken != before) else { break };
        let units = before.end.max(taken.start)..taken.end;
        while begun.elapsed() < UNIT * u32::try_from(units.end - units.start).unwrap_or(u32::MAX) {}
        count = units.fold(count, |sum, unit| sum.wrapping_add((unit + 1).pow(2)));
        pieces::keep(Partial { count, ..Partial::default() })?;
    }
    tell("last", pieces.taken.unwrap_or(0..0))?;
    Ok(Output::Value(Partial { count, ..Partial::default() }))
}

fn keep_one(order: Order<'_>) -> std::result::Result<(), Failure> {
    let mut pieces = Pieces::default();
    pieces.take(1);
    pieces::keep(pieces.partial(order))?;
    // This one is not in the partial.
    pieces.take(1);
    Ok(())
}

fn pieces_skip(order: Order<'_>) -> Result {
    let mut pieces = Pieces::default();
    pieces.take(1);
    pieces::skip_rest();
    Ok(taken(order, &mut pieces, usize::MAX))
}

fn lines(mistake: Option<Mistake>) -> Result {
    lines::count(mistake).map(Output::Value)
}

fn read_source(order: Order<'_>) -> Result {
    let mut sum = 0_u64;
    let mut read = 0;
    let mut reader = source::reader();
    while let Some(piece) = reader.next_piece() {
        sum += piece.iter().copied().map(u64::from).sum::<u64>();
        read += piece.len();
    }
    report(order, json!({ "sum": sum, "read": read, "size": source::size() }))
}

fn read_source_huge_len(order: Order<'_>) -> Result {
    report(order, json!({ "read": source::read(0, u32::MAX).len(), "size": source::size() }))
}

fn read_source_forever() -> ! {
    loop {
        black_box(source::read(0, 16));
    }
}
