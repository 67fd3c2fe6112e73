//! `/v1/apps`: the served apps, and changes of them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json};
use frond_deploy::{AppView, ChangeError, Role, Version};
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Principal;
use crate::bodies;
use crate::params::Named;
use crate::reply::Problem;
use crate::server::Server;
use crate::views::{self, AppStatus};

/// The served apps.
#[derive(Serialize, ToSchema)]
pub(crate) struct Apps {
    /// The apps, by name.
    apps: Vec<AppStatus>,
}

/// Lists the apps, with their health, plugins, limits and laws.
#[utoipa::path(get, path = "/v1/apps", responses((status = 200, description = "The apps", body = Apps)), tag = "apps")]
pub(crate) async fn list(State(server): State<Arc<Server>>) -> Json<Apps> {
    Json(Apps { apps: server.apps.apps().into_iter().map(|app| views::of(&server.telemetry.metrics, app)).collect() })
}

/// Returns one app: its settings, its versions, and why its last change was refused, if it was.
#[utoipa::path(
    get,
    path = "/v1/apps/{app}",
    params(("app" = String, Path, description = "The app's name")),
    responses(
        (status = 200, description = "The app", body = AppStatus),
        (status = 404, description = "There is no such app", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "apps"
)]
pub(crate) async fn get(
    State(server): State<Arc<Server>>,
    Named(app): Named<String>,
) -> Result<Json<AppStatus>, Problem> {
    let view: AppView = server.apps.app(&app).ok_or_else(|| Problem::no_app(&app))?;
    Ok(Json(views::of(&server.telemetry.metrics, view)))
}

/// The result of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct Changed {
    /// The app's name.
    app: String,
    /// The number of the version that serves now.
    version: u64,
    /// The changed role, if the change was of one component.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// The SHA-256 of the component in that role, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// True if `curl -d @FILE` has mangled a component.
/// `--data-binary` sends the same media type, but leaves the file intact.
fn is_stripped(headers: &HeaderMap, component: &[u8]) -> bool {
    let form = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/x-www-form-urlencoded");
    headers.get(http::header::CONTENT_TYPE).is_some_and(form) && !component.starts_with(b"\0asm")
}

/// Uploads a component for a role.
///
/// The component is validated, compiled, tested with the app's cases, and tried by a canary on at
/// most two partitions. If it passes, it serves. If a check fails, the version that served before
/// keeps serving.
#[utoipa::path(
    put,
    path = "/v1/apps/{app}/{role}",
    params(("app" = String, Path, description = "The app's name"), ("role" = String, Path, description = "`leaf`, `merge` or `split`")),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component"),
    responses(
        (status = 200, description = "The version serves", body = Changed),
        (status = 400, description = "The component did not arrive completely", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The component did not arrive in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The server is stopping", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such app, or role", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The component is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The component is encoded, or a multipart form", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The change was refused: the version before still serves", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes wait to be checked", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "apps"
)]
pub(crate) async fn put(
    State(server): State<Arc<Server>>,
    Extension(principal): Extension<Arc<Principal>>,
    Named((app, role)): Named<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let named = role_of(&role)?;
    let settings = server.settings();
    let limits = &settings.config.limits;
    let (component, _charge) = bodies::read(&server, &principal, &headers, body, limits.component.0).await?;
    if is_stripped(&headers, &component) {
        return Err(Problem::refused(
            "the body is not WebAssembly, and was sent as a form: `curl -d` leaves out line ends and zero bytes\n\
             (send the file with `-T FILE` or `--data-binary @FILE`)",
        ));
    }
    let version = server.apps.put(&app, named, component).await.map_err(|error| problem(&app, error))?;
    Ok(Json(changed(app, &version, Some((named, role)))))
}

/// Removes an uploaded component: the one that the app's folder names serves again.
///
/// Without an upload in this role nothing changes.
#[utoipa::path(
    delete,
    path = "/v1/apps/{app}/{role}",
    params(("app" = String, Path, description = "The app's name"), ("role" = String, Path, description = "`leaf`, `merge` or `split`")),
    responses(
        (status = 200, description = "The folder's own component serves", body = Changed),
        (status = 409, description = "The server is stopping", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such app, or role", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The change was refused: the version before still serves", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes wait to be checked", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "apps"
)]
pub(crate) async fn delete(
    State(server): State<Arc<Server>>,
    Named((app, role)): Named<(String, String)>,
) -> Result<Json<Changed>, Problem> {
    let named = role_of(&role)?;
    let version = server.apps.delete(&app, named).await.map_err(|error| problem(&app, error))?;
    Ok(Json(changed(app, &version, Some((named, role)))))
}

/// Rolls back to the previous version.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/rollback",
    params(("app" = String, Path, description = "The app's name")),
    responses(
        (status = 200, description = "The version serves", body = Changed),
        (status = 404, description = "There is no such app", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is no previous version, or the server is stopping", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The change was refused: the version before still serves", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many changes wait to be checked", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "apps"
)]
pub(crate) async fn rollback(
    State(server): State<Arc<Server>>,
    Named(app): Named<String>,
) -> Result<Json<Changed>, Problem> {
    let version = server.apps.rollback(&app).await.map_err(|error| problem(&app, error))?;
    Ok(Json(changed(app, &version, None)))
}

fn role_of(role: &str) -> Result<Role, Problem> {
    match role {
        "leaf" => Ok(Role::Leaf),
        "merge" => Ok(Role::Merge),
        "split" => Ok(Role::Split),
        _ => Err(Problem::not_found("an app has the roles leaf, merge and split")),
    }
}

fn changed(app: String, version: &Version, role: Option<(Role, String)>) -> Changed {
    let digest = role.as_ref().and_then(|(role, _)| version.digest(*role));
    Changed { app, version: version.number, role: role.map(|(_, name)| name), digest }
}

fn problem(app: &str, error: ChangeError) -> Problem {
    match error {
        ChangeError::NotFound => Problem::no_app(app),
        ChangeError::Refused { .. } => Problem::refused(error.to_string()),
        ChangeError::TooLarge { .. } => Problem::too_large(error.to_string()),
        ChangeError::Busy => Problem::overloaded(error.to_string(), std::time::Duration::from_secs(5)),
        other => Problem::conflict(other.to_string()),
    }
}
