//! Folders that are not there, or that others may write to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::kit::{Folder, frond};

#[test]
fn without_a_home_a_warning_says_how_to_keep_what_is_compiled() {
    let ask = |name: &str, value: &str| {
        let asked = frond(["query", "examples/pi", r#"{"seed":1}"#, "--deadline", "30s"]).env("FROND_CACHE", "");
        asked.env("HOME", "").env("XDG_CACHE_HOME", "").env(name, value).run().expect(0).err()
    };
    let told = ask("HOME", "");
    assert_eq!(told.matches("warning: ").count(), 1, "{told}");
    assert!(told.contains("neither HOME nor XDG_CACHE_HOME is set\n(FROND_CACHE=DIR names a folder"), "{told}");
    let home = Folder::new();
    assert!(!ask("HOME", &home.dir().display().to_string()).contains("warning"));
    assert!(home.path(".cache/frond").is_dir());
}

#[test]
fn a_volume_that_others_may_write_to_gets_a_folder_of_its_own() {
    let folder = Folder::with_app("faulty", "[source]\nkind = \"query\"");
    // As `fsGroup` makes a volume: the group may write, and what is made there is the group's.
    for name in ["cache", "state"] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::set_permissions(folder.path(name), Permissions::from_mode(0o2775)).unwrap();
    }
    folder.write("server.toml", "state = \"state\"\nwatch = false\n");
    let serve = folder.frond("serve . --config server.toml --listen 127.0.0.1:0");
    let mut server = serve.env("FROND_CACHE", folder.path("cache")).start();
    server.wait_for("  app\n").signal("TERM");
    let said = server.end().expect(0).err();
    assert!(!said.contains("compiled anew"), "{said}");
    for name in ["cache", "state"] {
        let found: Vec<_> = fs::read_dir(folder.path(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [own] = &found[..] else { panic!("{name}: {found:?}") };
        assert!(own.file_name().unwrap().to_string_lossy().starts_with("frond-"), "{own:?}");
        assert_eq!(fs::metadata(own).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(fs::read_dir(own).unwrap().next().is_some(), "{own:?} is empty");
    }
}
