//! What the shop tells its customers.
//!
//! `POST /notifications`, `GET /notifications?user_id=`
//!
//! Orders announces each confirmed order here through its outbox. The work on
//! such a message belongs to the order's trace.

pub mod api;
pub mod store;

use axum::Router;
use axum::extract::State;
use http::HeaderMap;
use kit::outbox::{CREATION_HEADER, TOPIC_HEADER};
use kit::{Context, ErrorBody, IdempotencyKey, Json, Page, Query, Result, ServiceArgs};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{NewNotification, Notification, Sent, Wanted};
use store::Store;

/// Name of the service.
pub const NAME: &str = "notifications";

/// The one kind of message that comes from an outbox.
const ORDER_CREATED: &str = "order.created";

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
    let service = OpenApiRouter::default().routes(routes!(create, list));
    kit::routes::complete(service, state)
}

/// Tell a customer something
#[utoipa::path(post, path = "/notifications", tag = NAME, request_body = NewNotification,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Any text of your own; a request repeated with it tells once")),
    responses(
        (status = 200, body = Sent),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 422, description = "A value cannot be accepted", body = ErrorBody),
    ))]
async fn create(
    State(store): State<Store>,
    IdempotencyKey(key): IdempotencyKey,
    headers: HeaderMap,
    Json(new): Json<NewNotification>,
) -> Result<Json<Sent>> {
    new.check()?;
    let key = key.as_deref();
    let is_order = text(&headers, TOPIC_HEADER) == Some(ORDER_CREATED);
    let sent = match (is_order, key, text(&headers, CREATION_HEADER)) {
        (true, Some(id), Some(creation)) => {
            let adding = store.add(&new, key, Some(ORDER_CREATED));
            mesh_telemetry::service::process(ORDER_CREATED, id, creation, adding).await?
        }
        _ => {
            store
                .add(&new, key, is_order.then_some(ORDER_CREATED))
                .await?
        }
    };
    Ok(Json(Sent {
        message: "Notification sent".to_owned(),
        notification_id: sent,
    }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// List notifications, the newest first
#[utoipa::path(get, path = "/notifications", tag = NAME, params(Wanted), responses(
    (status = 200, body = Vec<Notification>),
    (status = 400, description = "The query cannot be read", body = ErrorBody),
))]
async fn list(
    State(store): State<Store>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Notification>>> {
    let page = Page {
        limit: wanted.limit,
    };
    Ok(Json(store.list(wanted.user_id, page.limit()).await?))
}
