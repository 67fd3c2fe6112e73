//! Parser of a region's table of services.

use std::str::FromStr;

pub(crate) const HEADER: &str = "name,crs,lat,long,terminal,operator,minutes,fare";

/// One line of a region's table: a direct train from a London terminal to a station.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it; units are given where there are any")]
pub struct Service {
    pub station: String,
    pub crs: String,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub long: f64,
    pub terminal: String,
    pub operator: String,
    pub minutes: u32,
    /// The fare in pence.
    pub pence: u32,
}

/// Parses a whole table: a header, then one service on each line, with comment lines (`#`)
/// anywhere.
///
/// Fields contain no commas and no quotes, so a line is split at every comma.
///
/// # Errors
/// The error names the line.
pub(crate) fn parse(table: &str) -> Result<Vec<Service>, String> {
    let mut lines = (1..).zip(table.lines()).filter(|(_, line)| !line.starts_with('#'));
    match lines.next() {
        Some((_, HEADER)) => {}
        Some((number, line)) => return Err(format!("line {number}: `{line}` is not the header `{HEADER}`")),
        None => return Err(format!("the table has no header `{HEADER}`")),
    }
    lines.map(|(number, line)| service(line).map_err(|error| format!("line {number}: {error}"))).collect()
}

fn service(line: &str) -> Result<Service, String> {
    let fields: Vec<&str> = line.split(',').collect();
    let [station, crs, lat, long, terminal, operator, minutes, fare] = fields[..] else {
        return Err(format!("{} fields where there should be 8", fields.len()));
    };
    Ok(Service {
        station: station.to_owned(),
        crs: crs.to_owned(),
        lat: degrees("lat", lat)?,
        long: degrees("long", long)?,
        terminal: terminal.to_owned(),
        operator: operator.to_owned(),
        minutes: number("minutes", minutes)?,
        pence: pence(fare).ok_or_else(|| format!("fare `{fare}` is not pounds and pence such as 12.50"))?,
    })
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| no_number(name, text))
}

/// Parses degrees. Rust's parser also accepts `inf` and `nan`, which are refused here.
fn degrees(name: &str, text: &str) -> Result<f64, String> {
    number(name, text).and_then(|value: f64| if value.is_finite() { Ok(value) } else { Err(no_number(name, text)) })
}

fn no_number(name: &str, text: &str) -> String {
    format!("{name} `{text}` is not a number")
}

/// Parses a fare into pence. It is split at the point rather than parsed as a float, so that no
/// fare is ever a penny off.
fn pence(fare: &str) -> Option<u32> {
    let (pounds, pence) = fare.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if pence.len() != 2 || !digits(pounds) || !digits(pence) {
        return None;
    }
    pounds.parse::<u32>().ok()?.checked_mul(100)?.checked_add(pence.parse().ok()?)
}
