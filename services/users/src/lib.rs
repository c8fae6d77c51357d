//! The shop's customers.
//!
//! `POST /users`, `GET /users`, `GET /users/{id}`

pub mod api;
pub mod store;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderName, StatusCode, header};
use kit::{Context, Error, ErrorBody, Id, Json, Page, Path, Query, Result, ServiceArgs};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{NewUser, User};
use store::Store;

/// Name of the service.
pub const NAME: &str = "users";

/// Runs the service until `shutdown`.
pub async fn run(args: ServiceArgs, shutdown: CancellationToken) -> Result<()> {
    kit::service::run(NAME, args, shutdown, |context| async move {
        build(&context).await
    })
    .await
}

/// Opens the database and makes the router.
pub async fn build(context: &Context) -> Result<Router> {
    let database = context.database(NAME, store::STEPS).await?;
    Ok(router(Store::new(database)))
}

/// The routes.
pub fn router(state: Store) -> Router {
    let service = OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(find));
    kit::routes::complete(service, state)
}

/// Add a customer
#[utoipa::path(post, path = "/users", tag = NAME, request_body = NewUser, responses(
    (status = 201, body = User),
    (status = 400, description = "The body is not JSON", body = ErrorBody),
    (status = 422, description = "A value cannot be accepted", body = ErrorBody),
))]
async fn create(
    State(store): State<Store>,
    Json(user): Json<NewUser>,
) -> Result<impl IntoResponse> {
    user.check()?;
    let user = store.add(user).await?;
    let location = format!("/users/{}", user.user_id);
    let headers: [(HeaderName, String); 1] = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(user)))
}

/// List customers
#[utoipa::path(get, path = "/users", tag = NAME, params(Page), responses(
    (status = 200, body = Vec<User>),
))]
async fn list(State(store): State<Store>, Query(page): Query<Page>) -> Result<Json<Vec<User>>> {
    Ok(Json(store.list(page.limit()).await?))
}

/// Find a customer
#[utoipa::path(get, path = "/users/{id}", tag = NAME,
    params(("id" = i64, Path, description = "Id of the customer", example = 1)),
    responses(
        (status = 200, body = User),
        (status = 404, description = "There is no such customer", body = ErrorBody),
    ))]
async fn find(State(store): State<Store>, Path(id): Path<Id>) -> Result<Json<User>> {
    let user = store.find(id).await?;
    user.map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no user {id}")))
}
