//! Content negotiation: which of several media types a client would rather have. RFC 9110, section 12.5.1.

use http::HeaderMap;
use http::header::ACCEPT;

/// A media type, or a range of them.
#[derive(Debug, PartialEq)]
struct Range {
    kind: String,
    subtype: String,
    /// Names in lower case, with values as they are meant.
    parameters: Vec<(String, String)>,
    /// From 0 to 1000.
    quality: u16,
}

/// How well a range fits a media type: the better, the larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `*/*`.
    All,
    /// `text/*`.
    Kind,
    /// `text/plain`, with so many parameters that both have.
    Exact(usize),
}

/// Returns the place in `offers`, the server's favourite first, of the media type that the client prefers: the one of the
/// highest quality; of those the one that it names most exactly; of those the first. `None` when it takes none of them.
///
/// A client without an `Accept` header, or with one that names no media type, takes all. A parameter that an offer does not
/// have does not count, as `escaping=allow-utf-8` of Prometheus; one that has another value is another media type.
pub(crate) fn preferred(headers: &HeaderMap, offers: &[&str]) -> Option<usize> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range> = values.flat_map(|value| split(value, ',')).filter_map(Range::parse).collect();
    if ranges.is_empty() {
        return (!offers.is_empty()).then_some(0);
    }
    let judged = offers.iter().enumerate().filter_map(|(place, offer)| {
        let (quality, fit) = judge(&ranges, Range::parse(offer).as_ref())?;
        // The number of parameters says which range counts, and not which offer is better.
        let exactness = std::cmp::Reverse(match fit {
            Fit::Exact(_) => 0,
            Fit::Kind => 1,
            Fit::All => 2,
        });
        (quality > 0).then_some(((quality, exactness, std::cmp::Reverse(place)), place))
    });
    judged.max_by_key(|(merit, _)| *merit).map(|(_, place)| place)
}

/// The quality of an offer: that of the range that fits it best.
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
                // What follows is not of the media type.
                range.quality = quality(value.trim())?;
                break;
            }
            range.parameters.push((name, unquoted(value.trim())));
        }
        Some(range)
    }

    /// How well it fits an offer; an offer that is no media type fits `*/*` alone.
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

/// Parts of a header's value between separators that are not in quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
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
