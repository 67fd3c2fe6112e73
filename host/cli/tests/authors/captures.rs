//! Captures of failed calls: their replay, and their conversion to cases.

use std::fs;

use crate::{Folder, faulty, frond, test, warm};

fn captured(folder: &Folder, keys: &[&str]) -> Vec<String> {
    let partitions: Vec<String> = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"data\":\"x\"}}")).collect();
    let query = format!("{{\"query\":{{}},\"partitions\":[{}]}}", partitions.join(","));
    frond(["query", "app"]).arg(query).args(["--capture-failures", "kept"]).dir(folder.dir()).run();
    let mut names: Vec<String> =
        fs::read_dir(folder.path("kept")).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "components");
    names.sort();
    names
}

#[test]
fn each_failure_is_kept_and_fails_again_in_the_same_way() {
    let folder = faulty();
    let kept = captured(&folder, &["panic-1", "ok-2", "grow-memory-3", "exit-4", "invalid-partition-5"]);
    assert_eq!(
        kept,
        ["0-panic_1-trap", "2-grow_memory_3-out-of-memory", "3-exit_4-trap", "4-invalid_partition_5-invalid-partition"]
    );
    for name in &kept {
        let ended = frond(["replay", &format!("kept/{name}")]).dir(folder.dir()).run().expect(0);
        assert!(ended.out().contains("reproduced: it fails in the same way"), "{}", ended.out());
    }
    let ended = frond(["replay", "kept/0-panic_1-trap"]).dir(folder.dir()).run();
    assert!(ended.out().contains("as the query asked for panic-1"), "{}", ended.out());
}

#[test]
fn all_that_a_shell_names_is_made_again() {
    let folder = faulty();
    let kept = captured(&folder, &["panic-1", "ok-2", "exit-3"]);
    let paths = ["kept/components".to_owned()].into_iter().chain(kept.iter().map(|name| format!("kept/{name}")));
    let named = frond(["replay"]).args(paths).dir(folder.dir()).run().expect(0).out();
    let inside = frond(["replay", "kept"]).dir(folder.dir()).run().expect(0).out();
    for out in [named, inside] {
        assert_eq!(out.matches("reproduced: it fails in the same way").count(), 2, "{out}");
        assert!(out.find("partition 0 `panic-1`") < out.find("partition 2 `exit-3`"), "{out}");
    }
    folder.link_plugin("wordcount");
    frond(["replay", "kept", "--component", "app/wordcount.wasm"]).dir(folder.dir()).run().expect(1);
    let none = frond(["replay", "kept/components", "app"]).dir(folder.dir()).run().expect(64);
    assert!(none.err().contains("--capture-failures"), "{}", none.err());
}

#[test]
fn a_capture_becomes_a_case() {
    let folder = faulty();
    captured(&folder, &["panic-1"]);
    frond(["replay", "kept/0-panic_1-trap", "--as-case", "app"]).dir(folder.dir()).run().expect(0);
    let ended = test(&folder, "--no-laws").expect(0);
    assert!(ended.out().contains("PASS  leaf    panic_1-trap"), "{}", ended.out());
}

#[test]
fn another_component_is_tried_in_its_place() {
    let folder = faulty();
    captured(&folder, &["panic-1"]);
    folder.link_plugin("wordcount");
    let ended = frond(["replay", "kept/0-panic_1-trap", "--component", "app/wordcount.wasm"]).dir(folder.dir()).run();
    let ended = ended.expect(1);
    assert!(ended.out().contains("not reproduced"), "{}", ended.out());
}

#[test]
fn what_is_no_capture_is_refused() {
    let folder = faulty();
    let ended = frond(["replay", "app"]).dir(folder.dir()).run().expect(64);
    assert!(ended.err().contains("--capture-failures"), "{}", ended.err());
    captured(&folder, &["panic-1"]);
    let head = folder.path("kept/0-panic_1-trap/capture.toml");
    let text = fs::read_to_string(&head).unwrap();
    fs::write(&head, text.replace("digest = \"", "digest = \"../../")).unwrap();
    let ended = frond(["replay", "kept/0-panic_1-trap"]).dir(folder.dir()).run().expect(64);
    assert!(ended.err().contains("its digest is not hexadecimal"), "{}", ended.err());
}

#[test]
fn a_failure_of_a_warm_instance_is_made_again_by_what_ran_before_it() {
    let folder = warm();
    let keys = ["ok-1", "ok-2", "trap-after:2-3", "panic-4"];
    let partitions: Vec<String> = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"data\":\"x\"}}")).collect();
    let query = format!("{{\"query\":{{}},\"partitions\":[{}]}}", partitions.join(","));
    frond(["query", "app"]).arg(query).args(["--slots", "1", "--capture-failures", "kept"]).dir(folder.dir()).run();
    let replay = |name: &str| frond(["replay", &format!("kept/{name}"), "--as-case", "app"]).dir(folder.dir()).run();

    let out = replay("2-trap_after_2_3-trap").expect(0).out();
    assert!(out.contains("reproduced after the 2 partitions that ran before it in its instance"), "{out}");
    assert!(out.contains("not written as a case"), "{out}");

    // The trap ended the instance, so the next partition had a fresh one.
    let out = replay("3-panic_4-trap").expect(0).out();
    assert!(out.contains("reproduced: it fails in the same way"), "{out}");

    // A capture of an earlier version of Frond has nothing that ran before.
    let head = folder.path("kept/2-trap_after_2_3-trap/capture.toml");
    let text = fs::read_to_string(&head).unwrap();
    let (old, _) = text.split_once("[[before]]").unwrap();
    fs::write(&head, old).unwrap();
    assert!(replay("2-trap_after_2_3-trap").expect(1).out().contains("not reproduced"));
}

#[test]
fn a_capture_reads_no_file_outside_its_folder() {
    let folder = faulty();
    captured(&folder, &["panic-1"]);
    let head = folder.path("kept/0-panic_1-trap/capture.toml");
    let text = fs::read_to_string(&head).unwrap();
    fs::write(&head, format!("{text}\n[[before]]\nkey = \"a\"\nindex = 0\nfile = \"../query.bin\"\n")).unwrap();
    let ended = frond(["replay", "kept/0-panic_1-trap"]).dir(folder.dir()).run().expect(64);
    assert!(ended.err().contains("is not in its folder"), "{}", ended.err());
}
