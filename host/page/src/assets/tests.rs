//! Tests that every file is served under its path and conforms to a strict content security policy.

use super::*;

#[test]
fn the_page_and_its_files_are_found_by_their_paths() {
    let check = |path: &str, content_type: &str| {
        let found = asset(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(found.content_type, content_type);
        assert!(!found.bytes.is_empty());
    };
    check("/", HTML);
    check("/page/base.css", CSS);
    check("/page/js/main.js", JS);
    check("/page/icon.svg", SVG);
    for path in ["/page", "/page/", "/base.css", "/page/../Cargo.toml", "//", "/page/js", "/v1/apps"] {
        assert_eq!(asset(path), None, "{path}");
    }
}

#[test]
fn an_etag_is_quoted_and_of_one_file() {
    let etags: Vec<_> = FILES.iter().map(|(name, ..)| asset(&format!("/page/{name}")).unwrap().etag).collect();
    assert!(etags.iter().all(|etag| etag.len() == 18 && etag.starts_with('"') && etag.ends_with('"')));
    let mut unique = etags.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), etags.len());
}

#[test]
fn everything_that_the_page_names_is_there() {
    let index = FILES[0].2;
    let named: Vec<_> = index.split(['"', '\'']).filter(|word| word.starts_with("page/")).collect();
    assert!(named.len() >= 5, "{named:?}");
    for path in named {
        assert!(asset(&format!("/{path}")).is_some(), "{path}");
    }
}

#[test]
fn the_page_works_under_a_strict_policy() {
    let index = FILES[0].2;
    assert!(!index.contains("<style") && !index.contains(" style="));
    assert_eq!(index.matches("<script").count(), index.matches("<script type=\"module\" src=").count());
    for (name, _, text) in FILES {
        // The namespace of SVG is only a name; it is not fetched.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for foreign in
            ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!text.contains(foreign), "{name}: {foreign}");
        }
    }
}

#[test]
fn files_are_as_short_as_sources() {
    for (name, _, text) in FILES {
        assert!(text.lines().count() <= 400, "{name}");
    }
}

#[test]
fn every_file_of_the_folder_is_part_of_the_binary() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
    let names = |folder: &std::path::Path, prefix: &str| -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|entry| format!("{prefix}{}", entry.file_name().to_string_lossy())).collect()
    };
    for name in names(&folder, "").into_iter().chain(names(&folder.join("js"), "js/")) {
        assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
    }
}
