//! Refuses ambiguous requests (request smuggling).
//! If a proxy and the server read a request differently, another client's request can hide in it.

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING};
use http::{Request, Version};

use crate::reply::Problem;

/// Headers that a request may have at most once.
const SINGLE: [HeaderName; 8] = [
    HOST,
    AUTHORIZATION,
    ORIGIN,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
];

/// Refuses a request without a host, or with contradicting headers.
/// RFC 9112, sections 3.2 and 6.1; RFC 9110, section 5.3.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    if let Some(twice) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Problem::bad_request(format!("the header `{twice}` is given more than once")));
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(Problem::bad_request("the body has a length and is chunked\n(send one of the two headers)"));
    }
    // RFC 9113, section 8.3.1: a proxy may use either as the host.
    let named = request.uri().authority();
    let host = headers.get(HOST);
    if request.version() == Version::HTTP_2
        && let (Some(named), Some(host)) = (named, host)
        && !named.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes())
    {
        return Err(Problem::bad_request("the address and the header `Host` name two hosts"));
    }
    // Older clients may omit it, and HTTP/2 has it in the address.
    if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        return Err(Problem::bad_request("the header `Host` is missing"));
    }
    Ok(())
}
