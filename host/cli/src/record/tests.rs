//! Round trip of recordings, and errors of files that are none.

use std::io::Cursor;
use std::sync::Arc;

use super::*;
use crate::show::fixtures::{Stream, complete, many, stalled};
use frond_root::{Events, Floor};
use std::time::Duration;

fn text_of(stream: &Stream) -> String {
    let mut text = Vec::new();
    let recorder = Recorder::to(&mut text, Path::new("run.ndjson"));
    stream.events.iter().for_each(|event| recorder.event(event));
    recorder.finish().expect("memory does not fail");
    drop(recorder);
    String::from_utf8(text).expect("JSON is UTF-8")
}

fn check(bytes: impl AsRef<[u8]>) -> (Vec<Event>, Result<Ending, String>) {
    let mut events = Vec::new();
    let ending = read_from(Cursor::new(bytes), "run.ndjson", |event| events.push(event));
    (events, ending.map_err(|error| error.to_string()))
}

#[test]
fn a_recording_is_read_as_it_was_written() {
    for stream in [complete(), stalled(), many(600)] {
        let (events, ending) = check(text_of(&stream));
        assert_eq!(ending, Ok(Ending::Whole));
        assert!(events == stream.events);
    }
}

#[test]
fn a_file_is_whole_once_the_query_is_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.ndjson");
    let recorder = Arc::new(Recorder::create(&path).expect("a file"));
    let events = Events::new(vec![recorder.clone()]);
    let stream = complete();
    for event in stream.events.clone() {
        events.emit(Duration::from_micros(event.at), || event.kind);
    }
    let mut count = 0;
    assert_eq!(read(&path, |_| count += 1).expect("a recording"), Ending::Whole);
    assert_eq!(count, stream.events.len());
    recorder.finish().expect("it was written");
}

#[test]
fn each_second_of_the_query_reaches_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run.ndjson");
    let recorder = Recorder::create(&path).expect("a file");
    let stream = Stream::new(3, Floor::All).leaf(2, 30, 0, 0).start(1100, 1, 1, 0).start(1200, 2, 1, 0);
    stream.events.iter().for_each(|event| recorder.event(event));
    let ending = read(&path, |_| ()).expect("a recording");
    assert_eq!(ending, Ending::Early { lines: 5 });
}

#[test]
fn a_line_cut_in_the_middle_is_told_and_not_more_is_lost() {
    let text = text_of(&stalled());
    let lines = text.lines().count() as u64;
    for cut in 2..120 {
        let (events, ending) = check(&text[..text.len() - cut]);
        assert_eq!(ending, Ok(Ending::Cut { line: lines }), "cut by {cut}");
        assert_eq!(events.len() as u64, lines - 1);
    }
}

#[test]
fn a_last_line_without_its_end_is_read() {
    let text = text_of(&complete());
    let (_, ending) = check(text.trim_end());
    assert_eq!(ending, Ok(Ending::Whole));
}

#[test]
fn a_recording_without_an_end_is_told() {
    let stream = Stream::new(3, Floor::All).leaf(2, 30, 0, 0);
    assert_eq!(check(text_of(&stream)).1, Ok(Ending::Early { lines: 4 }));
}

#[test]
fn what_is_not_a_recording_is_refused() {
    let errors =
        ["", "\n", "{}\n", "hello\n", "\u{0}\u{1}PNG", "{\"event\":\"planned\",\"at\":1}\n"].map(|text| check(text).1);
    insta::assert_debug_snapshot!(errors, @r#"
    [
        Err(
            "run.ndjson is not a recording: it is empty\n(make one with `frond query --record FILE`)",
        ),
        Err(
            "run.ndjson is not a recording: its first line is not an event in JSON\n(make one with `frond query --record FILE`)",
        ),
        Err(
            "run.ndjson is not a recording: its first line is not an event in JSON\n(make one with `frond query --record FILE`)",
        ),
        Err(
            "run.ndjson is not a recording: its first line is not an event in JSON\n(make one with `frond query --record FILE`)",
        ),
        Err(
            "run.ndjson is not a recording: its first line is not an event in JSON\n(make one with `frond query --record FILE`)",
        ),
        Err(
            "run.ndjson is not a recording: it does not begin with query-started\n(make one with `frond query --record FILE`)",
        ),
    ]
    "#);
    let binary: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    assert!(check(binary).1.is_err_and(|error| error.contains("not a recording")));
}

#[test]
fn a_newer_version_is_refused_whatever_else_it_holds() {
    let error = check("{\"event\":\"query-started\",\"version\":2,\"what\":{\"is\":\"this\"}}\n").1;
    insta::assert_snapshot!(error.expect_err("newer"), @r"
    run.ndjson has format version 2, and this frond reads versions up to 1
    (use the frond that recorded it, or a later one)
    ");
}

#[test]
fn a_wrong_line_is_named() {
    let mut lines: Vec<String> = text_of(&complete()).lines().map(str::to_owned).collect();
    lines[3] = "{\"at\":1,\"event\":\"rumour\"}".to_owned();
    let error = check(lines.join("\n")).1.expect_err("no such event");
    insta::assert_snapshot!(error, @"run.ndjson:4: unknown variant `rumour`, expected one of `query-started`, `planned`, `attempt-started`, `attempt-ended`, `retry-scheduled`, `partition-missing`, `fold-started`, `fold-ended`, `floor-reached`, `held`, `gather-ended`, `finish-started`, `query-ended`, at column 25");
    lines[3] = lines[0].clone();
    let error = check(lines.join("\n")).1.expect_err("two queries");
    insta::assert_snapshot!(error, @"run.ndjson:4: a second query begins here (a recording holds one)");
    lines[3] = "{\"at\":1,".to_owned();
    let error = check(lines.join("\n")).1.expect_err("no JSON");
    insta::assert_snapshot!(error, @"run.ndjson:4: EOF while parsing a value");
}

#[test]
fn an_endless_line_is_not_read_to_its_end() {
    let endless = BufReader::new(std::io::repeat(b'a'));
    let error = read_from(endless, "endless", |_| ()).expect_err("no line");
    insta::assert_snapshot!(error, @r"
    endless is not a recording: a line of more than 16777216 bytes
    (make one with `frond query --record FILE`)
    ");
    let head = text_of(&Stream::new(1, Floor::All));
    let endless = BufReader::new(Cursor::new(head).chain(std::io::repeat(b' ')));
    let error = read_from(endless, "endless", |_| ()).expect_err("no line");
    insta::assert_snapshot!(error, @"endless:3: a line of more than 16777216 bytes");
}

#[test]
fn a_missing_file_and_a_directory_are_errors() {
    let error = read(Path::new("no/such\u{1b}[2J/file"), |_| ()).expect_err("nothing there");
    insta::assert_snapshot!(error, @r"cannot read no/such\u{1b}[2J/file");
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(read(dir.path(), |_| ()), Err(RecordError::Io { .. })));
}

/// A disk with room for this many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let room = bytes.len().min(self.0);
        self.0 -= room;
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_at_the_end_each_time_it_is_asked() {
    let recorder = Recorder::to(Disk(1000), Path::new("run.ndjson"));
    many(2000).events.iter().for_each(|event| recorder.event(event));
    let error = recorder.finish().expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let text = error.to_string();
    assert!(text.starts_with("writing run.ndjson failed: "), "{text}");
    assert!(text.contains("the recording is incomplete"), "{text}");
    assert_eq!(recorder.finish().expect_err("still").to_string(), text);
}
