//! Tests that the file stays one page with one recording, whatever the events contain.

use super::*;

fn page_of(title: &str, events: &[&str]) -> String {
    let mut page = Standalone::new(title);
    for event in events {
        page.event(event).unwrap();
    }
    page.finish()
}

#[test]
fn the_file_holds_style_script_and_events() {
    let page = page_of("rail", &["{\"at\":1}\n", "{\"at\":2}"]);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("<title>rail</title>") && page.contains(":root {") && page.contains("const module_model"));
    assert!(page.contains("id=\"recording\">\n{\"at\":1}\n{\"at\":2}\n</script>"));
    assert!(!page.contains("{style}") && !page.contains("{recording}"));
}

#[test]
fn events_cannot_end_the_script_that_holds_them() {
    let page = page_of("x", &[r#"{"key":"</script><script>alert(1)</script><!-- {recording}"}"#]);
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains(r#"{"key":"\u003c/script>\u003cscript>alert(1)\u003c/script>\u003c!-- {recording}"}"#));
}

#[test]
fn a_title_is_text() {
    let page = page_of("</title><script>", &[]);
    assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
}

#[test]
fn nothing_is_fetched() {
    let page = page_of("x", &[]);
    assert!(page.contains("default-src 'none'"));
    for foreign in [" src=", "<link", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn more_than_a_page_can_show_is_refused() {
    let mut page = Standalone::new("x");
    let large = "x".repeat(MAX_RECORDING / 2 + 1);
    assert_eq!(page.event(&large), Ok(()));
    assert_eq!(page.event(&large), Err(TooLarge));
    assert_eq!(TooLarge.to_string(), "its events are more than the 200 MiB that a page can show");
}
