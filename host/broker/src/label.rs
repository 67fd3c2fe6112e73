//! Names that peers give themselves, as people see them.

/// Longest name that a root or a worker announces, in bytes.
pub(crate) const MAX_LABEL: usize = 64;

/// Checks a name that is shown to people: text on one line. `.` and `..` could not be part of an
/// HTTP path, by which a worker is drained.
pub(crate) fn is_label(name: &str) -> bool {
    !["", ".", ".."].contains(&name) && is_line(name, MAX_LABEL)
}

/// Checks a text that is shown to people: one line, of at most so many bytes.
pub(crate) fn is_line(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(char::is_control)
}

/// Makes a line of a text, of at most so many bytes.
pub(crate) fn line(text: &str, most: usize) -> String {
    let line = text.replace(char::is_control, " ");
    frond_root::quote::shortened(line, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lines_of_some_length() {
        assert!(is_label("worker 7 in Zürich") && is_label("..."));
        assert!(!is_label(".") && !is_label(".."));
        assert!(!is_label("") && !is_label("two\nlines") && !is_label("\u{1b}[31mred"));
        assert!(is_label(&"x".repeat(MAX_LABEL)) && !is_label(&"x".repeat(MAX_LABEL + 1)));
        for text in ["", "two\nlines", &"é".repeat(100)] {
            assert!(is_line(&line(text, MAX_LABEL), MAX_LABEL));
        }
    }
}
