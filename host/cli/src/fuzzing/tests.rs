//! Property tests with the body of the fuzz target, on almost valid recordings.

use frond_root::Listener;
use frond_testkit::almost;
use proptest::prelude::*;

use super::*;
use crate::record::Recorder;
use crate::show::fixtures::{Stream, complete, many, stalled};

fn written(stream: &Stream) -> Vec<u8> {
    let mut text = Vec::new();
    let recorder = Recorder::to(&mut text, std::path::Path::new("run.ndjson"));
    stream.events.iter().for_each(|event| recorder.event(event));
    recorder.finish().unwrap();
    drop(recorder);
    text
}

#[test]
fn what_is_nested_without_end_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        recording(nested.as_bytes());
        let first = String::from_utf8(written(&complete())).unwrap().lines().next().unwrap().to_owned();
        recording(format!("{first}\n{{\"event\":{nested}}}\n").as_bytes());
        recording(format!("{first}\n{{\"at\":1,\"event\":\"finish-started\",\"more\":{nested}}}\n").as_bytes());
    }
}

#[test]
fn numbers_at_their_limits_are_shown() {
    let text = String::from_utf8(written(&stalled())).unwrap();
    for most in [u64::MAX, u64::from(u32::MAX), i64::MAX as u64, 0] {
        for key in ["at", "deadline", "weight", "partitions", "slots", "unix_ms", "leaf_deadline", "start", "planned"] {
            let marker = format!("\"{key}\":");
            let changed: String = text.split_inclusive(&marker).fold(String::new(), |whole, part| {
                let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
                let number = whole.ends_with(&marker) && rest.len() < part.len();
                if number { format!("{whole}{most}{rest}") } else { format!("{whole}{part}") }
            });
            recording(changed.as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_recording_brings_it_down(bytes in almost([written(&complete()), written(&stalled()), written(&many(20))])) {
        recording(&bytes);
    }
}
