//! Tokens: made, read as hashes, and masked in texts.

use proptest::prelude::*;

use super::*;
use crate::config::Config;

#[test]
fn a_hash_is_64_hexadecimal_digits_and_nothing_else() {
    let spelled = "00ff".repeat(16);
    assert_eq!(digest(&spelled), digest(&spelled.to_uppercase()));
    assert_eq!(digest(&spelled).unwrap()[..3], [0, 255, 0]);
    let wrong = [
        String::new(),
        "0".repeat(63),
        "0".repeat(65),
        format!("{}g", "0".repeat(63)),
        format!("+{}", "0".repeat(63)),
        format!(" {}", "0".repeat(63)),
        format!("0x{}", "0".repeat(62)),
        "é".repeat(32),
        "٠".repeat(32),
    ];
    for spelled in wrong {
        assert_eq!(digest(&spelled), None, "{spelled}");
    }
}

#[test]
fn a_fresh_token_is_long_and_its_lines_are_settings() {
    let (first, lines) = fresh_token("a \"name\"\n", Role::Admin);
    let (second, _) = fresh_token("a \"name\"\n", Role::Admin);
    let entry = toml::from_str::<Config>(&lines).unwrap().tokens.remove(0);
    assert_ne!(first, second);
    assert_eq!(first.len(), PREFIX.len() + 2 * TOKEN_BYTES);
    assert_eq!((entry.name.as_str(), entry.role), ("a \"name\"\n", Role::Admin));
    assert_eq!(digest(&entry.sha256), Some(Sha256::digest(first).into()));
}

proptest! {
    #[test]
    fn a_hash_that_was_spelled_is_read_again(bytes: [u8; 32]) {
        prop_assert_eq!(digest(&HEXLOWER.encode(&bytes)), Some(bytes));
    }

    #[test]
    fn a_token_in_a_text_cannot_be_read(before in ".{0,20}", bytes: [u8; 32], after in "[^0-9a-fA-F].{0,20}|") {
        let secret = format!("{PREFIX}{}", HEXLOWER.encode(&bytes));
        let shown = without_tokens(&format!("{before}{secret}{after}{secret}"));
        prop_assert!(!shown.contains(&secret[PREFIX.len()..]), "{}", shown);
        prop_assert!(shown.starts_with(&before) && shown.contains(&after));
    }

    #[test]
    fn a_text_without_a_token_is_left_alone(text in "([^f]|frond|frond_serve | frond_-){0,20}") {
        let own = text.replace("frond_", "frond-");
        prop_assert_eq!(without_tokens(&own), own.as_str());
        prop_assert_eq!(without_tokens("`frond_server`"), "`frond_server`");
    }
}
