//! Jobs of a folder of apps without HTTP, for a process of the folder's owner.
//! Requests go to the server's handlers by calls: there is no listener, no authentication and no
//! rate limit.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tower::ServiceExt;

use crate::auth::Principal;
use crate::config::Config;
use crate::router::trusting;
use crate::serve::{CLOSING, ServeError, check, open};
use crate::server::Server;

/// Error of a body.
type BodyError = Box<dyn Error + Send + Sync>;

/// Body of a reply, which is made as it is read.
// The mutex is never locked: it makes the body `Sync`, as clients of HTTP require.
pub struct ReplyBody(Mutex<axum::body::Body>);

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(self.0.get_mut()).poll_frame(cx).map_err(axum::Error::into_inner)
    }
}

/// The jobs of a folder of apps, inside this process.
pub struct Embedded {
    server: Arc<Server>,
    jobs: Router,
}

impl Embedded {
    /// Opens the jobs, while the apps below `dir` are loaded one by one in the background.
    /// The settings of the listener, of its clients and of tokens have no effect.
    ///
    /// # Errors
    /// See [`ServeError`]. A broken app is no error.
    pub async fn start(dir: &Path, config: Config) -> Result<Self, ServeError> {
        check(dir, &config)?;
        let server = open(dir, config).await?;
        let jobs = trusting(&server, Principal::owner());
        Ok(Self { server, jobs })
    }

    /// Waits until every app that was there at the start has been loaded once.
    pub async fn ready(&self) {
        self.server.apps.ready().await;
    }

    /// Answers a request about jobs as a server would.
    pub async fn call<B>(&self, request: Request<B>) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let Ok(response) = self.jobs.clone().oneshot(request.map(axum::body::Body::new)).await;
        self.server.hidden.hide(response).await.map(|body| ReplyBody(Mutex::new(body)))
    }

    /// Stops the jobs that run here and releases their leases.
    pub async fn end(self) {
        self.server.stop();
        let jobs = self.server.jobs.as_ref();
        // Nothing runs in a process that only reads and changes the store.
        if let Some(jobs) = jobs.filter(|jobs| jobs.config.role.processes()) {
            self.server.apps.close().await;
            jobs.close(CLOSING).await;
        }
    }
}
