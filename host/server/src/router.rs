//! Routes, and the layers that every request passes: authentication, rate limits, origin checks.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Action, Principal};
use crate::links::Link;
use crate::reply::{Problem, allowed, is_not_allowed};
use crate::server::Server;
use crate::{apps_api, health, jobs, metrics, news, openapi, page, queries, query, wellformed, workers_api};

/// Builds the router with all routes and layers.
pub(crate) fn router(server: &Arc<Server>) -> Router {
    let guarded = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(query::ask))
        .routes(routes!(queries::list))
        .routes(routes!(queries::get, query::cancel))
        .routes(routes!(queries::events::events))
        .routes(routes!(news::news))
        .merge(of_jobs())
        .routes(routes!(apps_api::list))
        .routes(routes!(apps_api::get))
        .routes(routes!(apps_api::put, apps_api::delete))
        .routes(routes!(apps_api::rollback))
        .routes(routes!(workers_api::list))
        .routes(routes!(workers_api::drain))
        .routes(routes!(health::about))
        .routes(routes!(metrics::text::metrics))
        .layer(from_fn_with_state(server.clone(), guard));
    let open = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::jobs_readyz));
    let (router, described) = guarded.merge(open).split_for_parts();
    let described: Arc<str> = openapi::text(&described).unwrap_or_default().into();
    router
        .route("/openapi.json", axum::routing::get(move || openapi::json(described.clone())))
        .merge(page::routes())
        .fallback(async || Problem::not_found("there is nothing at this address\n(/openapi.json lists what there is)"))
        .method_not_allowed_fallback(async || Problem::not_allowed())
        .layer(from_fn_with_state(server.clone(), outermost))
        .layer(cors(server.clone()))
        .layer(from_fn(options))
        .with_state(server.clone())
}

/// The routes of jobs, without the layers.
fn of_jobs() -> OpenApiRouter<Arc<Server>> {
    OpenApiRouter::new()
        .routes(routes!(jobs::submit::submit))
        .routes(routes!(jobs::api::list))
        .routes(routes!(jobs::api::get, jobs::api::cancel, jobs::api::change))
        .routes(routes!(jobs::answers::result))
        .routes(routes!(jobs::answers::partial))
        .routes(routes!(jobs::api::events))
        .routes(routes!(jobs::api::redrive))
}

/// Builds the router of jobs whose every request is made by `principal`, without authentication.
pub(crate) fn trusting(server: &Arc<Server>, principal: Principal) -> Router {
    Router::from(of_jobs()).layer(Extension(Arc::new(principal))).with_state(server.clone())
}

/// Layer: authenticates a request, and checks its role and rate limit.
async fn guard(State(server): State<Arc<Server>>, mut request: Request, next: Next) -> Response {
    let settings = server.settings();
    let link = request.extensions().get::<Arc<Link>>().cloned();
    let principal = match settings.authenticator.principal(request.headers()) {
        Ok(principal) => principal,
        Err(failure) => {
            server.logins.failed(failure, link.map(|link| link.peer()));
            return Problem::from(failure).into_response();
        }
    };
    if let Some(link) = link {
        link.know();
    }
    let action = Action::of(request.method(), request.uri().path());
    if let Err(problem) = principal.may(action).and_then(|()| principal.count()) {
        return problem.into_response();
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// Outermost layer: checks every request, and adds headers to every reply.
async fn outermost(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let settings = server.settings();
    let sound = wellformed::check(&request)
        .and_then(|()| settings.authenticator.same_site(request.version(), &method, request.uri(), request.headers()));
    drop(settings);
    let mut response = match sound {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    response = server.hidden.hide(response).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    server.telemetry.metrics.replied(&route, &method, response.status().as_u16());
    response
}

/// Layer: answers plain `OPTIONS` requests with the methods that a path accepts.
/// Otherwise the CORS layer would treat every `OPTIONS` request as a preflight. The router names
/// the methods in its reply to an unknown method.
async fn options(mut request: Request, next: Next) -> Response {
    let is_plain =
        *request.method() == Method::OPTIONS && !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_plain {
        return next.run(request).await;
    }
    if request.uri().path() == "*" {
        return allowed(Some(HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE")));
    }
    *request.method_mut() = Method::from_bytes(b"NONE").unwrap_or(Method::TRACE);
    let response = next.run(request).await;
    // The router adds the methods after this, to the response.
    if is_not_allowed(&response) { allowed(None) } else { response }
}

/// CORS layer: allows only the origins in the current settings.
fn cors(server: Arc<Server>) -> CorsLayer {
    let named = move |origin: &HeaderValue, _: &http::request::Parts| {
        server.settings().config.cors.iter().any(|one| one.as_bytes() == origin.as_bytes())
    };
    let exposed = [
        "frond-query",
        "frond-job",
        "location",
        "frond-complete",
        "frond-coverage",
        "server-timing",
        "retry-after",
        "preference-applied",
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(named))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH])
        .allow_headers(AllowHeaders::list([
            http::header::AUTHORIZATION,
            http::header::CONTENT_TYPE,
            http::header::ACCEPT,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("prefer"),
        ]))
        .expose_headers(ExposeHeaders::list(exposed.map(HeaderName::from_static)))
}
