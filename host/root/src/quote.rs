//! Texts of others in messages: quotes have few characters, and whole texts a bound.

use std::borrow::Cow;

/// The most characters of a quoted text.
pub const MAX_QUOTED: usize = 80;

/// Returns a text as a message quotes it: its first [`MAX_QUOTED`] characters, and `…` for the
/// rest.
#[must_use]
pub fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Returns a text of at most `most` bytes: what is beyond is replaced by `…`.
#[must_use]
pub fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub('…'.len_utf8())));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// An error with its causes, one a line, at most `most` bytes. Repeated causes are left out. A
/// quarter of the bytes is for the root cause, however long the others are.
#[must_use]
pub fn chain(error: &dyn std::error::Error, most: usize) -> String {
    const BECAUSE: &str = "\n  because: ";
    let mut text = error.to_string();
    let mut root: Option<String> = None;
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        let is_told = text.contains(&told) || root.as_ref().is_some_and(|root| root.contains(&told));
        if !is_told && let Some(middle) = root.replace(told) {
            text.push_str(BECAUSE);
            text.push_str(&middle);
        }
        next = cause.source();
    }
    let text = shortened(text, most - most / 4);
    match root {
        Some(root) => shortened(format!("{text}{BECAUSE}{}", shortened(root, most / 4)), most),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_texts_stand_as_they_are() {
        for text in ["", "a", &"é".repeat(MAX_QUOTED)] {
            assert_eq!(clipped(text), text);
            assert_eq!(shortened(text.to_owned(), text.len()), text);
        }
    }

    proptest! {
        #[test]
        fn longer_ones_keep_their_beginning_and_their_bound(
            text in prop::collection::vec(any::<char>(), 0..200),
            most in 3_usize..300,
        ) {
            let text: String = text.into_iter().collect();
            let first: String = text.chars().take(MAX_QUOTED).collect();
            let is_long = text.chars().count() > MAX_QUOTED;
            prop_assert_eq!(clipped(&text).into_owned(), if is_long { format!("{first}…") } else { text.clone() });
            let short = shortened(text.clone(), most);
            prop_assert!(short.len() <= most);
            prop_assert!(short == text || short.strip_suffix('…').is_some_and(|begin| text.starts_with(begin)));
        }
    }
}
