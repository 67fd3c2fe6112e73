//! Trace context of a request: the client's span, from the header `traceparent`.

use http::HeaderMap;
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

/// The client's span of which a query is part, from the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// The client samples it, and wants its children sampled as well.
    pub(crate) is_sampled: bool,
}

impl Parent {
    /// Parses W3C Trace Context, section 3.2: `00-{trace}-{span}-{flags}`.
    /// If there are several headers, all are ignored.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all("traceparent").iter();
        let text = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
        let mut parts = text.split('-');
        let version = parts.next()?;
        let trace = parts.next()?;
        let span = parts.next()?;
        let flags = parts.next()?;
        let lower = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
            return None;
        }
        if ![version, trace, span, flags].into_iter().all(lower) || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = TraceId::from_hex(trace).ok()?;
        let span = SpanId::from_hex(span).ok()?;
        let is_sampled = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?).is_sampled();
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(Self { trace, span, is_sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(text: &str) -> Option<Parent> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", text.parse().unwrap());
        Parent::of(&headers)
    }

    #[test]
    fn the_clients_span_is_the_parent() {
        let read = parent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!(read.trace, TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap());
        assert_eq!(read.span, SpanId::from_hex("b7ad6b7169203331").unwrap());
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            assert_eq!(parent(&text).unwrap().is_sampled, sampled, "{flags}");
        }
    }

    #[test]
    fn of_several_none_counts() {
        let mut headers = HeaderMap::new();
        for span in ["b7ad6b7169203331", "b7ad6b7169203332"] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-{span}-01");
            headers.append("traceparent", text.parse().unwrap());
        }
        assert_eq!(Parent::of(&headers), None);
    }

    #[test]
    fn what_is_no_trace_context_is_left_alone() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        ] {
            assert_eq!(parent(text), None, "{text}");
        }
    }
}
