//! Content negotiation (RFC 9110, section 12.5.1): picks the media type that the client prefers.

use http::HeaderMap;
use http::header::ACCEPT;

/// A media range of an `Accept` header, or a media type on offer.
#[derive(Debug, PartialEq)]
struct Range {
    kind: String,
    subtype: String,
    /// Names in lower case, values unquoted.
    parameters: Vec<(String, String)>,
    /// The `q` weight in thousandths, 0 to 1000.
    quality: u16,
}

/// Precision with which a range matches a media type; the more precise, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `*/*`.
    All,
    /// `text/*`.
    Kind,
    /// `text/plain`, with this number of parameters in common.
    Exact(usize),
}

/// Returns the index in `offers` of the media type that the client prefers. `None` if it accepts
/// none of them.
///
/// The highest quality wins, then the range that names the type most exactly, then the first in
/// `offers`, which the server orders by its own preference.
///
/// A client without an `Accept` header, or with one that names no media type, accepts everything. A
/// parameter that the offer does not have is ignored, for example Prometheus'
/// `escaping=allow-utf-8`. A parameter with another value makes another media type.
pub(crate) fn preferred(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range> = values.flat_map(|value| split(value, ',')).filter_map(Range::parse).collect();
    if ranges.is_empty() {
        return (!offers.is_empty()).then_some(0);
    }
    let judged = offers.iter().enumerate().filter_map(|(place, offer)| {
        let (quality, fit) = judge(&ranges, Range::parse(offer).as_ref())?;
        // The number of parameters selects the range that applies; it does not make an offer
        // better.
        let exactness = std::cmp::Reverse(match fit {
            Fit::Exact(_) => 0,
            Fit::Kind => 1,
            Fit::All => 2,
        });
        (quality > 0).then_some(((quality, exactness, std::cmp::Reverse(place)), place))
    });
    judged.max_by_key(|(merit, _)| *merit).map(|(_, place)| place)
}

/// The quality of an offer, taken from the range that matches it most precisely.
fn judge(ranges: &[Range], offer: Option<&Range>) -> Option<(u16, Fit)> {
    let fits = ranges.iter().filter_map(|range| Some((range.fit(offer)?, range.quality)));
    fits.max().map(|(fit, quality)| (quality, fit))
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = split(text, ';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let is_any = |text: &str| text == "*";
        if !(is_token(kind) && is_token(subtype)) || (is_any(kind) && !is_any(subtype)) {
            return None;
        }
        let mut range = Self {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            parameters: Vec::new(),
            quality: 1000,
        };
        for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = name.trim().to_ascii_lowercase();
            if name == "q" {
                // Anything after `q` is no part of the media type.
                range.quality = quality(value.trim())?;
                break;
            }
            range.parameters.push((name, unquoted(value.trim())));
        }
        Some(range)
    }

    /// How precisely the range matches an offer. An offer that is no media type matches only `*/*`.
    fn fit(&self, offer: Option<&Self>) -> Option<Fit> {
        if self.kind == "*" {
            return Some(Fit::All);
        }
        let offer = offer.filter(|offer| offer.kind == self.kind)?;
        if self.subtype == "*" {
            return Some(Fit::Kind);
        }
        if offer.subtype != self.subtype {
            return None;
        }
        let mut both = 0;
        for (name, value) in &self.parameters {
            let known = offer.parameters.iter().find(|(other, _)| other == name);
            match known {
                Some((_, other)) if other.eq_ignore_ascii_case(value) => both += 1,
                Some(_) => return None,
                None => {}
            }
        }
        Some(Fit::Exact(both))
    }
}

/// Parts of a header value between separators outside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |c: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        c == separator && !is_quoted
    })
}

fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

/// A weight in thousandths: 0 to 1 with at most three digits after the point.
fn quality(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{rest:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
