//! Failed builds: no artifact remains.

use crate::kit::{Folder, plugin};
use crate::test;

#[test]
fn a_failed_build_leaves_no_artifact_and_nothing_is_tested() {
    let folder = Folder::new();
    std::os::unix::fs::symlink(plugin("faulty"), folder.path("built.wasm")).unwrap();
    let toml = |command: &str| format!("[leaf]\ncomponent = \"leaf.wasm\"\nbuild = \"{command}\"\n");
    folder.write("app/frond.toml", toml("cp ../built.wasm leaf.wasm"));
    folder
        .write("app/cases/one.toml", "partition = \"\"\nkey = \"a\"\n[expect]\njson = { count = 1, keys = [\"a\"] }\n");
    test(&folder, "--build").expect(0);
    assert!(folder.path("app/leaf.wasm").is_file());

    folder.write("app/frond.toml", toml("echo no such thing >&2; exit 3"));
    let ended = test(&folder, "--build").expect(64);
    assert!(ended.err().contains("no such thing") && ended.err().contains("exit status: 3"), "{}", ended.err());
    assert!(!folder.path("app/leaf.wasm").exists());
    let ended = test(&folder, "").expect(64);
    assert!(ended.err().contains("run `frond build app`"), "{}", ended.err());
}
