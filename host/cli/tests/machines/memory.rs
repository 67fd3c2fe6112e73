//! A machine with little memory or address space, which must be told from a plugin that uses too
//! much.

use crate::kit::frond;

/// Arguments of a shell that limits the address space to `kib` KiB and becomes the program.
fn within(kib: u64) -> [String; 2] {
    ["-c".to_owned(), format!("ulimit -v {kib}; exec \"$0\" \"$@\"")]
}

#[test]
fn little_address_space_is_enough_for_small_leaves() {
    let ask = || frond(["query", "examples/wordcount", r#"{"top":1}"#, "--slots", "2"]);
    let whole = ask().run().expect(0).out();
    let ended = ask().through("sh", within(1 << 20)).run().expect(0);
    assert_eq!(ended.out(), whole);
    assert!(ended.err().contains("without an instance pool"), "{}", ended.err());
    assert!(!ended.err().contains("can wait at once"), "{}", ended.err());
}

#[test]
fn too_little_address_space_for_the_process_itself_is_refused_at_the_start() {
    for kib in [150_000, 200_000, 210_000, 262_143] {
        for verb in
            [&["query", "examples/pi", "{}"][..], &["test", "examples/pi"], &["jobs", "list"], &["serve", "examples"]]
        {
            let ended = frond(verb).through("sh", within(kib)).run().expect(70);
            let text = "MiB of address space, and needs 256 MiB at least\n(raise the limit of `ulimit -v`)";
            assert!(ended.err().contains(text), "{kib} KiB: {}", ended.err());
        }
    }
}

#[test]
fn a_machine_without_memory_is_named_and_not_the_plugin() {
    // The leaf takes 50 MiB, far less than its limit.
    let order = r#"{"query":{},"partitions":[{"key":"allocate-mib:50","data":""}]}"#;
    let ask = || frond(["query", "examples/faulty", order, "--slots", "1", "--format", "json", "--deadline", "100s"]);
    ask().run().expect(0);
    let mut named = 0;
    // The memory of the process itself differs between machines. At some limit in this range, the
    // leaf is short of memory.
    for kib in (100..800).step_by(50).map(|mib| mib << 10) {
        let ended = ask().through("sh", within(kib)).run();
        let text = format!("{}{}", ended.out(), ended.err());
        assert!(!text.contains("\"trap\"") && !text.contains("\"out-of-memory\""), "{kib} KiB: {text}");
        named += usize::from(ended.code == Some(4) && text.contains("this machine has no memory left for the call"));
    }
    assert!(named > 0, "the leaf never was short of memory");
}
