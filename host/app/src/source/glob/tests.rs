//! Globs that are compiled, and their bounds.

use proptest::prelude::*;

use super::{Glob, MAX_GLOB, MAX_GLOBS};
use crate::source::{Cut, Inputs};
use crate::testing::{Folder, refused};

fn refused_glob(glob: &str) -> String {
    refused(&format!("[source]\nkind = \"files\"\nglob = '{glob}'\n"))
}

fn of_app(texts: &[String]) -> Result<usize, String> {
    Glob::of_app(texts).map(|globs| globs.len()).map_err(|complaint| complaint.text)
}

/// Deepest braces that fit into a glob.
fn deep() -> String {
    format!("{}a{}", "{".repeat(MAX_GLOB / 2 - 1), "}".repeat(MAX_GLOB / 2 - 1))
}

#[test]
fn an_app_with_a_text_that_is_no_glob_is_refused() {
    insta::assert_snapshot!(refused_glob("data/[a"), @"APP/frond.toml:7: source.glob: `data/[a` is not a glob: unclosed character class; missing ']'");
    insta::assert_snapshot!(refused_glob("data/{a"), @"APP/frond.toml:7: source.glob: `data/{a` is not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)");
    let deep = refused_glob(&deep());
    assert!(deep.starts_with("APP/frond.toml:7: source.glob: `{{{"), "{deep}");
    assert!(deep.ends_with("…` is not a glob: too large or too deep to be compiled"), "{deep}");
}

#[test]
fn a_glob_and_a_list_of_them_have_a_bound() {
    let longest = format!("{}*", "a".repeat(MAX_GLOB - 1));
    assert_eq!(of_app(std::slice::from_ref(&longest)), Ok(1));
    let wrong = of_app(&[format!("a{longest}")]).unwrap_err();
    assert!(wrong.len() < 200 && wrong.ends_with("has 1025 bytes, and the limit is 1024"), "{wrong}");
    let mut globs = vec!["*.txt".to_owned(); MAX_GLOBS];
    globs.extend(["data/a.txt".to_owned(), "data".to_owned()]);
    assert_eq!(of_app(&globs), Ok(MAX_GLOBS + 2));
    globs.push("*.csv".to_owned());
    assert_eq!(of_app(&globs), Err("there are more than 100 globs".to_owned()));
}

#[test]
fn inputs_of_the_caller_have_the_same_bounds_and_names_that_exist_are_no_globs() {
    let folder = Folder::app("[source]\nkind = \"files\"\nglob = \"*.txt\"\n");
    let app = folder.load().unwrap();
    let ask = |input: &[String]| app.partitions(Inputs { input, ..Inputs::new(b"", 1) });
    let odd = folder.path("odd[a");
    folder.write("odd[a", "x");
    let odd = odd.to_str().unwrap().to_owned();
    let Cut::Ready { partitions, .. } = ask(std::slice::from_ref(&odd)).unwrap() else { panic!() };
    assert_eq!(partitions.len(), 1);
    let none = ask(&[format!("{odd}b")]).unwrap_err().to_string();
    assert!(none.ends_with("is not a glob: unclosed character class; missing ']'"), "{none}");
    let deep = ask(&[deep()]).unwrap_err().to_string();
    assert!(deep.ends_with("too large or too deep to be compiled"), "{deep}");
    let many = ask(&vec!["nothing*".to_owned(); MAX_GLOBS + 1]).unwrap_err().to_string();
    assert!(many.starts_with("there are more than 100 globs"), "{many}");
}

proptest! {
    #[test]
    fn no_glob_panics(text in prop::collection::vec(prop::sample::select(&b"a/*?[]{},!-.\\"[..]), 0..MAX_GLOB)) {
        let text = String::from_utf8(text).unwrap();
        let _ = Glob::of_app(&[text]);
    }

    #[test]
    fn a_compiled_glob_matches_as_globset_does(
        glob in prop::collection::vec(prop::sample::select(&b"ab/*?[]{},!."[..]), 1..12),
        path in prop::collection::vec(prop::sample::select(&b"ab/."[..]), 1..8),
    ) {
        let glob = String::from_utf8(glob).unwrap();
        let path = String::from_utf8(path).unwrap();
        let theirs = globset::GlobBuilder::new(&glob).literal_separator(true).build();
        let ours = super::Pattern::new(&glob);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.is_match(path.as_ref()), theirs.compile_matcher().is_match(&path));
        }
    }
}
