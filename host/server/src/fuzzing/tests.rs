//! The fuzz targets, on almost valid input.

use frond_testkit::almost;
use proptest::prelude::*;

use super::*;

const SETTINGS: [&str; 3] = [
    "",
    "listen = \"0.0.0.0:1\"\ninsecure = true\nslots = 2\nstate = \"s\"\nwatch = false\ncors = [\"https://a.b\"]\n\
     traces = \"http://h:1\"\n[limits]\nquery = \"1.5MiB\"\nheaders = 9_000\nrecent = 3\ndrain = \"1m30s\"\n\
     [log]\nformat = \"json\"\nlevel = \"warn\"\n[tls]\ncertificate = \"c.pem\"\nkey = \"/k.pem\"\n",
    "[[token]]\nname = \"one\"\nrole = \"admin\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
     concurrency = 1\nrate = 4294967295\n[[token]]\nname = \"\"\nrole = \"query\"\nsha256 = \"\"\n",
];

const QUERIES: [&str; 4] = [
    "deadline=500ms&floor=80%25&require=a&require=b%20c+d",
    "floor=best-effort",
    "deadline=1m0.5s&require=%E2%80%AE&require=",
    "require=%ff&&=&deadline",
];

const HEADERS: [&str; 3] = [
    "host: localhost:7300\norigin: http://localhost:7300\nauthorization: Bearer frond_00ff\nlast-event-id: 3\n",
    "accept: text/html, text/event-stream;q=0.9\ncontent-type: multipart/form-data\ncontent-encoding: gzip\nhost: [::1]:1\n",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nlast-event-id: 18446744073709551615\n",
];

#[test]
fn seeds_are_valid() {
    for text in SETTINGS {
        toml::from_str::<Config>(text).unwrap();
    }
    for text in &QUERIES[..3] {
        assert!(Promises::read(Some(text), Duration::from_secs(100)).is_ok(), "{text}");
    }
    let headers: HeaderMap = HEADERS[2].as_bytes().split(|byte| *byte == b'\n').filter_map(header).collect();
    assert!(Parent::of(&headers).is_some() && unseen(&headers) == usize::MAX);
}

#[test]
fn deep_nesting_does_not_bring_it_down() {
    for (open, close) in [("[", "]"), ("{a=", "}"), ("[{", "}]")] {
        let nested = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        config(nested.as_bytes());
        config(format!("token = {nested}").as_bytes());
    }
    config(format!("{}a = 1", "a.".repeat(100_000)).as_bytes());
    config(format!("[{}a]", "a.".repeat(100_000)).as_bytes());
}

#[test]
fn streams_go_on_after_any_number() {
    for (value, next) in [
        ("0", 1),
        ("41", 42),
        ("18446744073709551615", usize::MAX),
        ("18446744073709551616", 0),
        ("-1", 0),
        ("", 0),
        ("3, 4", 0),
        ("0x1", 0),
        ("é", 0),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        assert_eq!(unseen(&headers), next, "{value}");
    }
    assert_eq!(unseen(&HeaderMap::new()), 0);
    [0, 1, 4, 5, 6, usize::MAX].into_iter().for_each(resume);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_settings_bring_it_down(bytes in almost(SETTINGS)) {
        config(&bytes);
    }

    #[test]
    fn no_parameters_bring_it_down(bytes in almost(QUERIES)) {
        parameters(&bytes);
    }

    #[test]
    fn no_headers_bring_it_down(bytes in almost(HEADERS)) {
        headers(&bytes);
    }
}
