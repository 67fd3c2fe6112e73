//! Components: location, pins, builds and errors.

use std::fs;

use crate::testing::Folder;

const SOURCE: &str = "[source]\nkind = \"query\"\n";

/// An app whose leaf has the keys `leaf`.
fn app(leaf: &str) -> Folder {
    let folder = Folder::new();
    folder.write("frond.toml", format!("[leaf]\n{leaf}\n[merge]\ncomponent = \"merge.wasm\"\n{SOURCE}"));
    folder
}

/// Error of the check of the leaf's file.
fn checked(folder: &Folder) -> String {
    let app = folder.load().unwrap();
    app.leaf.check().map_or_else(|error| folder.show(&error), |()| "there".to_owned())
}

/// Error of the build.
fn built(folder: &Folder) -> String {
    let app = folder.load().unwrap();
    app.build().map_or_else(|error| folder.show(&error), |count| format!("built {count}"))
}

#[test]
fn an_app_loads_before_its_components_are_built() {
    insta::assert_snapshot!(checked(&app("component = \"leaf.wasm\"")), @r"
    APP/frond.toml:2: leaf.component: there is no file `APP/leaf.wasm`
    (correct the path, which is relative to frond.toml, or give the key `build` a command that makes the file)
    ");
    insta::assert_snapshot!(checked(&app("component = \"leaf.wasm\"\nbuild = \"true\"")), @r"
    APP/frond.toml:2: leaf.component: there is no file `APP/leaf.wasm`
    (run `frond build APP`)
    ");
}

#[test]
fn a_component_that_is_there_is_read() {
    let folder = app("component = \"out/leaf.wasm\"");
    folder.write("out/leaf.wasm", "wasm");
    let leaf = folder.load().unwrap().leaf;
    assert_eq!(leaf.path, folder.path("out/leaf.wasm"));
    assert_eq!(leaf.read().unwrap(), b"wasm");
}

#[test]
fn a_component_that_is_a_folder_is_refused() {
    let folder = app("component = \"out\"");
    folder.write("out/leaf.wasm", "wasm");
    insta::assert_snapshot!(checked(&folder), @r"
    APP/frond.toml:2: leaf.component: `APP/out` is not a file
    (name the wasm file itself)
    ");
}

#[test]
fn a_component_that_cannot_be_looked_at_is_refused_with_the_reason() {
    let folder = app("component = \"link\"");
    std::os::unix::fs::symlink("link", folder.path("link")).unwrap();
    insta::assert_snapshot!(checked(&folder), @r"
    APP/frond.toml:2: leaf.component: cannot read `APP/link`
    caused by: Too many levels of symbolic links (os error 40)
    ");
}

#[test]
fn a_pin_takes_its_file_and_no_other() {
    // `printf wasm | sha256sum`
    let pin = "sha256 = \"336154BF67F765F8F75D16A0ACCEE61B5EE5F6A75B2A2905703DF913BD550F3E\"";
    let folder = app(&format!("component = \"leaf.wasm\"\n{pin}"));
    folder.write("leaf.wasm", "wasm");
    assert_eq!(folder.load().unwrap().leaf.read().unwrap(), b"wasm");
    folder.write("leaf.wasm", "other");
    let error = folder.load().unwrap().leaf.read().unwrap_err();
    insta::assert_snapshot!(folder.show(&error), @r"
    APP/frond.toml:3: leaf.sha256: `APP/leaf.wasm` is not the file that is pinned
     expected 336154bf67f765f8f75d16a0accee61b5ee5f6a75b2a2905703df913bd550f3e
     found    d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    (pin the new digest if you trust the file)
    ");
}

#[test]
fn a_pin_is_hexadecimal() {
    let mut folder = app("component = \"leaf.wasm\"\nsha256 = \"abc\"");
    insta::assert_snapshot!(folder.show(&folder.load().unwrap_err()), @r"
    APP/frond.toml:3: leaf.sha256: expected 64 hexadecimal digits, found `abc`
    (as `sha256sum` prints them)
    ");
    folder = app(&format!("component = \"leaf.wasm\"\nsha256 = \"{}\"", "é".repeat(32)));
    insta::assert_snapshot!(folder.show(&folder.load().unwrap_err()), @r"
    APP/frond.toml:3: leaf.sha256: expected 64 hexadecimal digits, found `éééééééééééééééééééééééééééééééé`
    (as `sha256sum` prints them)
    ");
}

#[test]
fn empty_paths_and_commands_are_refused() {
    let mut folder = app("component = \"\"");
    insta::assert_snapshot!(folder.show(&folder.load().unwrap_err()), @r"
    APP/frond.toml:2: leaf.component: the path is empty
    (write the wasm file's path, relative to frond.toml)
    ");
    folder = app("component = \"leaf.wasm\"\nbuild = \" \"");
    insta::assert_snapshot!(folder.show(&folder.load().unwrap_err()), @r"
    APP/frond.toml:3: leaf.build: the command is empty
    (leave the key out when there is nothing to build)
    ");
}

#[test]
fn a_misfit_is_shown_where_the_component_is_named() {
    let folder = app("component = \"leaf.wasm\"");
    let leaf = folder.load().unwrap().leaf;
    let error = leaf.misfit("exports merge-partials, not process-partition\n(is it the merge?)");
    insta::assert_snapshot!(folder.show(&error), @r"
    APP/frond.toml:2: leaf.component: `APP/leaf.wasm`: exports merge-partials, not process-partition
    (is it the merge?)
    ");
}

#[test]
fn one_command_builds_both_components_once() {
    let command = "build = \"echo wasm >> leaf.wasm; echo wasm >> merge.wasm\"";
    let folder = Folder::new();
    folder.write(
        "frond.toml",
        format!(
            "[leaf]\ncomponent = \"leaf.wasm\"\n{command}\n[merge]\ncomponent = \"merge.wasm\"\n{command}\n{SOURCE}"
        ),
    );
    assert_eq!(built(&folder), "built 1");
    assert_eq!(fs::read_to_string(folder.path("leaf.wasm")).unwrap(), "wasm\n");
    assert_eq!(checked(&folder), "there");
}

#[test]
fn a_build_cannot_take_the_query_s_input() {
    let folder = app("component = \"leaf.wasm\"\nbuild = \"cat > leaf.wasm\"");
    assert_eq!(built(&folder), "built 1");
    assert_eq!(fs::read(folder.path("leaf.wasm")).unwrap(), b"");
}

#[test]
fn a_failed_build_names_its_command() {
    insta::assert_snapshot!(built(&app("component = \"leaf.wasm\"\nbuild = \"exit 7\"")), @r"
    APP/frond.toml:3: leaf.build: the command failed with exit status: 7: exit 7
    (its own output is above)
    ");
    insta::assert_snapshot!(built(&app("component = \"leaf.wasm\"\nbuild = \"kill -9 $$\"")), @r"
    APP/frond.toml:3: leaf.build: the command failed with signal: 9 (SIGKILL): kill -9 $$
    (its own output is above)
    ");
}

#[test]
fn a_build_that_makes_another_file_is_refused() {
    let folder = app("component = \"leaf.wasm\"\nbuild = \"touch lead.wasm\"");
    insta::assert_snapshot!(built(&folder), @r"
    APP/frond.toml:3: leaf.build: the command succeeded, but there is no file `APP/leaf.wasm`
    (make `build` and `component` name the same file)
    ");
}
