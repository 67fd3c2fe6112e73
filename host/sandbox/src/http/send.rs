//! One request and its answer, on a separate connection.

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use hyper::client::conn::http1;
use tokio::time::{sleep, timeout_at};
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::Limited;
use super::connect::{Stream, connect};
use super::exchange::{Exchange, RequestPermits};

/// Most bytes of an answer's head, and of its body that are buffered in the host.
const BUFFER: usize = 32 << 10;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;

/// Answer, and the future that drives its body.
type ResponseFuture = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);
/// Future that `wasi:http` awaits.
pub(super) type Sending = Box<dyn Future<Output = Result<ResponseFuture, Error>> + Send>;

impl Exchange {
    pub(super) async fn run(
        self,
        request: http::Request<WasiBody>,
        options: RequestOptions,
        permit: RequestPermits,
    ) -> Result<ResponseFuture, Error> {
        let until = self.until.into();
        timeout_at(until, self.answer(request, options, permit)).await.map_err(|_| Error::HttpResponseTimeout)?
    }

    async fn answer(
        self,
        request: http::Request<WasiBody>,
        options: RequestOptions,
        permit: RequestPermits,
    ) -> Result<ResponseFuture, Error> {
        if let Some(delay) = self.delay {
            sleep(delay).await;
        }
        let connect_by = options.connect_timeout.map_or(self.until, |time| self.by(time));
        let connected = timeout_at(connect_by.into(), connect(&self, connect_by)).await;
        let stream = connected.map_err(|_| Error::ConnectionTimeout)??;
        let answer_by = options.first_byte_timeout.map_or(self.until, |time| self.by(time));
        let sent = timeout_at(answer_by.into(), self.send(stream, request, permit)).await;
        let (answer, connection) = sent.map_err(|_| Error::ConnectionReadTimeout)??;
        self.retry_after.hear(answer.status(), answer.headers());
        let size = answer.body().size_hint().lower();
        if size > self.body {
            self.refuse_body("the answer to");
            return Err(Error::HttpResponseBodySize(Some(size)));
        }
        let limit = self.limit("the answer to", Error::HttpResponseBodySize);
        let until = self.until;
        let idle = options.between_bytes_timeout;
        let answer = answer.map(|body| Limited::new(body.map_err(of_hyper), limit).until(until, idle).boxed_unsync());
        Ok((answer, Box::new(connection)))
    }

    /// Sends the request. Returns the answer's head, and the connection's task, which brings the
    /// body.
    async fn send(
        &self,
        stream: Stream,
        request: http::Request<WasiBody>,
        permit: RequestPermits,
    ) -> Result<(http::Response<hyper::body::Incoming>, impl Future<Output = Result<(), Error>> + Send + use<>), Error>
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER).max_headers(MAX_HEADERS);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(of_hyper)?;
        let connection = spawn(async move {
            let _open = permit;
            connection.await
        });
        let answer = sender.send_request(self.prepared(request)?).await.map_err(of_hyper)?;
        Ok((answer, async move { connection.await.map_err(of_hyper) }))
    }

    /// Prepares the request as it is sent: to a server and not a proxy, with a limit on its body.
    fn prepared(
        &self,
        request: http::Request<WasiBody>,
    ) -> Result<http::Request<UnsyncBoxBody<bytes::Bytes, Error>>, Error> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
        let limit = self.limit("the body of", Error::HttpRequestBodySize);
        Ok(http::Request::from_parts(parts, Limited::new(body, limit).boxed_unsync()))
    }
}

/// Converts hyper's error to WASI's. An error of a limited body keeps its own type.
fn of_hyper(error: hyper::Error) -> Error {
    let ours = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>());
    match ours {
        Some(Error::HttpRequestBodySize(size)) => Error::HttpRequestBodySize(*size),
        _ if error.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        _ if error.is_incomplete_message() => Error::HttpResponseIncomplete,
        _ if error.is_closed() => Error::ConnectionTerminated,
        _ => Error::Hyper(error),
    }
}
