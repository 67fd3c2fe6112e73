//! Output of the page: its default and its given path, and never the recording itself.

use std::path::PathBuf;

use super::*;
use crate::record::Recorder;
use crate::show::fixtures::stalled;
use frond_root::Listener;

fn recorded(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let recorder = Recorder::create(&path).unwrap();
    stalled().events.iter().for_each(|event| recorder.event(event));
    recorder.finish().unwrap();
    path
}

fn args(file: &Path, output: Option<&Path>) -> ExplainArgs {
    ExplainArgs { file: file.to_owned(), html: true, output: output.map(Path::to_owned) }
}

#[test]
fn the_page_stands_beside_the_recording_unless_it_is_wanted_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recorded(folder.path(), "run.ndjson");
    assert_eq!(run(&args(&recording, None)).unwrap(), Exit::Whole);
    let beside = fs::read_to_string(folder.path().join("run.html")).unwrap();
    assert!(beside.contains("query-ended") && beside.contains("<title>rail · "));
    let elsewhere = folder.path().join("page.html");
    run(&args(&recording, Some(&elsewhere))).unwrap();
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), beside);
}

#[test]
fn a_recording_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let recording = recorded(folder.path(), "run.html");
    let error = run(&args(&recording, None)).unwrap_err().to_string();
    assert!(error.starts_with("the page would overwrite the recording"), "{error}");
    assert!(fs::read_to_string(&recording).unwrap().starts_with("{\"at\""));
}

#[test]
fn what_is_no_recording_makes_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "hello\n").unwrap();
    let error = run(&args(&path, None)).unwrap_err().to_string();
    assert!(error.contains("is not a recording"), "{error}");
    assert!(!folder.path().join("notes.html").exists());
}
