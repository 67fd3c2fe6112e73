//! Inputs of the comparison of leaves: valid and invalid queries and tables.

/// Budgets around every fare, and the limits of their range.
pub(crate) const BUDGETS: [&str; 8] = ["0", "6", "7", "12", "33", "100", "42949673", "4294967295"];

/// Times of day, as the rest of a query.
pub(crate) const TIMES: [&str; 7] = [
    "",
    r#","arrive-by":"09:28""#,
    r#", "depart" : "06:00" , "arrive-by" : "07:15" "#,
    r#","arrive-by":"23:59","depart":"22:00""#,
    r#","arrive-by":null,"depart":"00:00""#,
    r#","stall":"No such region","depart":"23:59""#,
    r#","stall":null,"\u0061rrive-by":"1\u0032:00""#,
];

/// A query that matches every service.
pub(crate) const EVERYTHING: &[u8] = br#"{"from":"London","budget":4294967295}"#;

pub(crate) const TABLE: &str = "name,crs,lat,long,terminal,operator,minutes,fare\n\
                         Reading,RDG,51.458786,-0.971862,PAD,GWR,23,11.00\n";

/// Returns queries that must be refused, for every reason.
#[expect(clippy::too_many_lines, reason = "a list, a line each")]
pub(crate) fn refused() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut add = |text: &str| all.push(text.as_bytes().to_vec());
    for text in [
        "",
        " ",
        "{}",
        "null",
        "true",
        "1",
        "\"London\"",
        "[]",
        "{",
        "}",
        "{\"from\":\"London\",\"budget\":60",
        "{\"from\":\"London\",\"budget\":60}}",
        "{\"from\":\"London\",\"budget\":60} x",
        "{\"from\":\"London\"}",
        "{\"budget\":60}",
        "{'from':'London','budget':60}",
        "{\"from\":\"London\",\"budget\":60,}",
        "{,\"from\":\"London\",\"budget\":60}",
        "{\"from\":\"London\" \"budget\":60}",
        "{\"from\" \"London\"}",
        "\u{feff}{\"from\":\"London\",\"budget\":60}",
        "{\"from\":\"London\",\"budget\":60}\u{a0}",
        "{\"from\":\"London\",\"budget\":60}\0",
        "{from:\"London\",\"budget\":60}",
        "{\"From\":\"London\",\"budget\":60}",
        "// why\n{\"from\":\"London\",\"budget\":60}",
    ] {
        add(text);
    }
    for origin in [
        "\"Leeds\"",
        "\"london\"",
        "\"London \"",
        "\"\"",
        "null",
        "1",
        "[\"London\"]",
        "\"Lon\\ndon\"",
        "\"Lon\ndon\"",
        "\"\\ud800\"",
    ] {
        add(&format!("{{\"from\":{origin},\"budget\":60}}"));
    }
    for budget in [
        "-1",
        "-0",
        "60.0",
        "6e1",
        "6E+1",
        "0.5",
        "4294967296",
        "99999999999999999999999",
        "\"60\"",
        "null",
        "true",
        "[]",
        "{}",
        "060",
        "+60",
        ".5",
        "6.",
        "0x3c",
        "NaN",
        "Infinity",
        "-Infinity",
        "6_0",
        "nul",
        "١",
    ] {
        add(&format!("{{\"from\":\"London\",\"budget\":{budget}}}"));
    }
    for time in [
        "\"9:00\"",
        "\"24:00\"",
        "\"10:60\"",
        "\"+9:00\"",
        "\"0900\"",
        "\"\"",
        "\"09:00 \"",
        "\"09:000\"",
        "\"09-00\"",
        "900",
        "[]",
        "\"٠٩:00\"",
        "\"09:0\\u0000\"",
        "\"09:00\\n\"",
        "\"-1:00\"",
    ] {
        add(&format!("{{\"from\":\"London\",\"budget\":60,\"depart\":{time}}}"));
        add(&format!("{{\"from\":\"London\",\"budget\":60,\"arrive-by\":{time}}}"));
    }
    for rest in [
        "\"depart\":null",
        "\"arrive-by\":\"09:00\"",
        "\"arrive-by\":\"08:00\"",
        "\"depart\":\"12:00\",\"arrive-by\":\"12:00\"",
        "\"via\":\"Crewe\"",
        "\"\\ud800\":1",
        "\"\":1",
        "\"stall\":1",
        "\"stall\":[\"a\"]",
        "\"stall\":{}",
        "\"stall\":\"\\ud800\"",
        "\"stall\":\"\\udc00\\ud800\"",
        "\"stall\":\"\\x\"",
        "\"stall\":\"\\u12\"",
        "\"stall\":\"a",
        "\"stall\":\"\t\"",
        "\"budget\":60",
        "\"stall\":\"a\",\"stall\":\"a\"",
        "\"bud\\u0067et\":60",
        "\"from\":\"London\"",
        "\"__proto__\":{}",
        "\"constructor\":null",
        "\"arrive_by\":\"10:00\"",
        "\"via\":{\"budget\":{\"budget\":1,\"budget\":1}}",
    ] {
        add(&format!("{{\"from\":\"London\",\"budget\":60,{rest}}}"));
    }
    add(&"[".repeat(100_000));
    add(&format!("{{\"from\":\"London\",\"budget\":60,\"via\":{}}}", "[".repeat(100_000)));
    all.push(b"\xff\xfe{".to_vec());
    for bytes in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf5\x80\x80\x80", b"\x80"] {
        all.push([br#"{"from":"London","budget":60,"stall":""#, bytes, br#""}"#].concat());
    }
    all
}

/// Returns tables by region: unusual valid ones, and invalid ones.
#[expect(clippy::too_many_lines, reason = "a list, a line each")]
pub(crate) fn tables() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&str, Vec<u8>)> = Vec::new();
    let header = TABLE.lines().next().unwrap();
    for text in [
        "",
        "\n",
        "\r\n",
        "#",
        "# only a comment\n",
        "Reading,RDG",
        header,
        &format!("{header}\r"),
        &format!("{header}\r\n"),
        &format!("\n{header}\n"),
        &format!("#\n#\n{header}\n#x"),
        &format!("{header}\n\n"),
        &format!("{header} \n"),
        &format!("\u{feff}{header}\n"),
        &TABLE.replace('\n', "\r\n"),
        &TABLE.replace('\n', "\r\r\n"),
        TABLE.trim_end(),
        &format!("{}\r", TABLE.trim_end()),
        &TABLE.replace('\n', "\r"),
        &format!("{TABLE}{header}\n"),
    ] {
        all.push(("a \"quoted\" \\ name,\tÅ\u{1f682}\u{7f}\u{1}\u{2028}", text.as_bytes().to_vec()));
    }
    let fields = ["Slough", "SLO", "51.51", "-0.59", "PAD", "GWR", "15", "8.30"];
    let mut add = |position: usize, value: &str| {
        let mut line = fields;
        line[position] = value;
        all.push(("Southern", format!("# a comment\n{TABLE}{}\n", line.join(",")).into_bytes()));
    };
    for name in [
        "",
        " ",
        "\"Slough\"",
        "\\",
        "\0",
        "\u{b}\u{c}\u{8}\u{1f}\u{7f}",
        "Zürich\u{2028}\u{85}",
        "日本\u{1f682}",
        "#",
        "a,b",
    ] {
        add(0, name);
        add(5, name);
    }
    for degrees in [
        "",
        " 51",
        "51 ",
        "north",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1e999",
        "0x1p3",
        "5_1",
        "٥١",
        "+51.5",
        "-51",
        "51.",
        ".5",
        ".",
        "-",
        "+.5e-3",
        "5e",
        "5e+",
        "1e2.5",
        "1E5",
        "1,5",
        "--5",
        "1e308",
        "0.1e-400",
        "51.5074",
        "-51.5074",
        "90",
        "-90",
        "89.99999999999999999999999999999999999999999999999999999999999999",
        "51.45878600000000000000000000000000000000001",
    ] {
        add(2, degrees);
        add(3, degrees);
    }
    add(3, "179.8722");
    for minutes in [
        "",
        "soon",
        "-1",
        "-0",
        "+23",
        "0023",
        "1.0",
        "1e2",
        " 5",
        "4294967295",
        "4294967296",
        "99999999999999999999",
        "٥",
    ] {
        add(6, minutes);
    }
    for fare in [
        "",
        "8",
        "8.3",
        "8.300",
        "-8.30",
        "+8.30",
        "8.+3",
        ".",
        ".30",
        "8.",
        "0.00",
        "00008.30",
        "8.30.30",
        "8,30",
        "42949672.95",
        "42949672.96",
        "42949673.00",
        "99999999.00",
        "99999999999999999999.00",
        "٨.30",
        "8.3٠",
        " 8.30",
        "8.30\r",
    ] {
        add(7, fare);
    }
    // Locations where rounding may make a sum of squares negative: Charing Cross, via the pole.
    let poles = ["128.4926,179.8722", "128.49260000000001,-180.1278", "231.4926,179.8722", "-51.5074,179.8722"];
    all.extend(poles.map(|place| ("Wales", format!("{TABLE}A,AAA,{place},PAD,GWR,1,0.10\n").into_bytes())));
    all.extend(
        [&b"\xff"[..], b"\xed\xa0\x80", b"name\xe2\x82"].map(|bytes| ("Scotland", [TABLE.as_bytes(), bytes].concat())),
    );
    all
}
