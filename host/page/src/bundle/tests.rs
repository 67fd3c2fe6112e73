//! Tests that the modules keep to the forms that the bundler supports.

use super::*;

fn modules() -> impl Iterator<Item = (usize, &'static str, &'static str)> {
    FILES
        .into_iter()
        .enumerate()
        .filter(|(_, (_, kind, _))| *kind == JS)
        .map(|(place, (name, _, text))| (place, name, text))
}

#[test]
fn imports_and_exports_have_the_forms_that_are_understood() {
    for (_, name, text) in modules() {
        for line in text.lines() {
            assert!(!line.starts_with("import") || imported(line).is_some(), "{name}: {line}");
            assert!(!line.starts_with("export") || exported(line).is_some(), "{name}: {line}");
            assert!(!line.contains("import(") && !line.contains("import.meta"), "{name}: {line}");
        }
    }
}

#[test]
fn what_is_imported_is_exported_by_an_earlier_file() {
    for (place, name, text) in modules() {
        for (names, from) in text.lines().filter_map(imported) {
            let found = modules().find(|(_, other, _)| *other == format!("js/{from}"));
            let (earlier, _, other) = found.unwrap_or_else(|| panic!("{name} imports {from}"));
            assert!(earlier < place, "{name} stands before {from}");
            for wanted in names.split(", ") {
                assert!(other.lines().filter_map(exported).any(|one| one == wanted), "{name}: {wanted} of {from}");
                assert!(text.matches(wanted).count() > 1, "{name} does not use {wanted}");
            }
        }
    }
}

#[test]
fn a_bundle_has_what_its_entry_needs_and_no_more() {
    let script = bundle("js/explain.js");
    for (_, name, _) in modules() {
        let server_only = [
            "api", "login", "feed", "poll", "apps", "console", "queries", "query", "jobs", "job", "workers", "main",
            "router", "commands", "answer", "segments",
        ];
        let stem = name.trim_start_matches("js/").trim_end_matches(".js");
        assert_eq!(script.contains(&format!("const {} = ", variable(name))), !server_only.contains(&stem), "{name}");
    }
    assert!(!script.lines().any(|line| line.starts_with("import") || line.starts_with("export")));
}

#[test]
fn a_script_cannot_be_ended_from_within() {
    let script = bundle("js/explain.js");
    assert!(!script.contains("</script") && !script.contains("<!--"));
}
