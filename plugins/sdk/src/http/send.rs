//! Blocking requests over `wasi:http`.

use super::{Error, Response, Url};
use crate::bindings::outside::wasi::http::outgoing_handler::handle;
use crate::bindings::outside::wasi::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
use crate::bindings::outside::wasi::io::streams::StreamError;

/// Maximum size of one `blocking-write-and-flush`, in bytes.
const WRITE: usize = 4096;
/// Maximum size of one read, in bytes.
const READ: u64 = 64 << 10;

/// Sends a request, and waits for the whole answer.
pub(super) fn send(
    method: &str,
    url: &Url<'_>,
    mut headers: Vec<(String, Vec<u8>)>,
    body: &[u8],
) -> Result<Response, Error> {
    if !body.is_empty() {
        headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    }
    let invalid = |what: &str| Error::Invalid(format!("`{what}` cannot be sent"));
    let headers = Fields::from_list(&headers).map_err(|_| Error::Invalid("a header cannot be sent".to_owned()))?;
    let request = OutgoingRequest::new(headers);
    let scheme = if url.secure { Scheme::Https } else { Scheme::Http };
    request.set_method(&method_of(method)).map_err(|()| invalid(method))?;
    request.set_scheme(Some(&scheme)).map_err(|()| invalid(url.authority))?;
    request.set_authority(Some(url.authority)).map_err(|()| invalid(url.authority))?;
    request.set_path_with_query(Some(&url.path)).map_err(|()| invalid(&url.path))?;
    let outgoing = if body.is_empty() { None } else { Some(request.body().map_err(|()| invalid(method))?) };
    let future = handle(request, None).map_err(|code| error_of(&code))?;
    if let Some(outgoing) = outgoing {
        // The answer reports an error of this write.
        let _ = write(outgoing, body);
    }
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => read(&response),
        Some(Ok(Err(code))) => Err(error_of(&code)),
        Some(Err(())) | None => Err(Error::Failed("the answer is not there".to_owned())),
    }
}

fn write(outgoing: OutgoingBody, body: &[u8]) -> Option<()> {
    let stream = outgoing.write().ok()?;
    for piece in body.chunks(WRITE) {
        stream.blocking_write_and_flush(piece).ok()?;
    }
    // A body's stream must be dropped before the body.
    drop(stream);
    OutgoingBody::finish(outgoing, None).ok()
}

fn read(response: &IncomingResponse) -> Result<Response, Error> {
    let status = response.status();
    let headers = response.headers().entries();
    let incoming = response.consume().map_err(|()| Error::Failed("the answer has no body".to_owned()))?;
    Ok(Response { status, headers, body: read_body(&incoming)? })
}

fn read_body(incoming: &IncomingBody) -> Result<Vec<u8>, Error> {
    let stream = incoming.stream().map_err(|()| Error::Failed("the answer's body is gone".to_owned()))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(bytes) => body.extend(bytes),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = http_error_code(&error);
                return Err(code.map_or_else(|| Error::Failed(error.to_debug_string()), |code| error_of(&code)));
            }
        }
    }
}

fn method_of(method: &str) -> Method {
    match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn error_of(code: &ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => Error::Denied("it is not granted".to_owned()),
        ErrorCode::DestinationIpProhibited => Error::Denied("the host's address is not granted".to_owned()),
        ErrorCode::ConnectionLimitReached => Error::Denied("too many requests are open".to_owned()),
        ErrorCode::DnsTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => Error::TimedOut,
        ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpResponseBodySize(_)
        | ErrorCode::HttpResponseHeaderSectionSize(_) => Error::TooLarge,
        ErrorCode::HttpRequestUriInvalid => Error::Invalid("the URL cannot be sent".to_owned()),
        ErrorCode::DnsError(_) => Error::Failed("the host's name cannot be resolved".to_owned()),
        ErrorCode::ConnectionRefused => Error::Failed("the connection was refused".to_owned()),
        other => Error::Failed(format!("{other:?}")),
    }
}
