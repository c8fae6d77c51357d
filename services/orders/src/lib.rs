//! The shop's orders.
//!
//! `POST /orders`, `GET /orders`, `GET /orders/{id}`
//!
//! Placing an order asks users and products, reserves at inventory, charges at
//! payments and, once committed, announces it to notifications through an
//! outbox. See [`placing`] for what happens when one of them fails.

pub mod api;
pub mod placing;
pub mod store;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderName, StatusCode, header};
use kit::outbox::Outbox;
use kit::{
    Context, Error, ErrorBody, IdempotencyKey, Json, Page, Path, Query, Result, ServiceArgs,
    idempotency,
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{Created, NewOrder, Order, Wanted};
use placing::Placing;
use store::Store;

/// Name of the service.
pub const NAME: &str = "orders";

/// Those who are called through the outbox.
const RELAYED: [&str; 3] = ["notifications", "inventory", "payments"];

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Places orders.
    pub placing: Placing,
    /// Life of the process.
    pub context: Context,
}

/// Runs the service until `shutdown`.
pub async fn run(args: ServiceArgs, shutdown: CancellationToken) -> Result<()> {
    kit::service::run(NAME, args, shutdown, |context| async move {
        build(&context).await
    })
    .await
}

/// Opens the database, finds the peers, starts the relays and makes the router.
pub async fn build(context: &Context) -> Result<Router> {
    let database = context.database(NAME, store::STEPS).await?;
    idempotency::prune(&database).await?;
    let outbox = Outbox::new(database.clone());
    let peers = context.peers();
    let placing = Placing {
        store: Store::new(database),
        outbox: outbox.clone(),
        users: peers.get("users")?,
        products: peers.get("products")?,
        inventory: peers.get("inventory")?,
        payments: peers.get("payments")?,
    };
    for peer in RELAYED {
        let relay = outbox.relay(peers.get(peer)?);
        context.spawn("outbox_relay", relay.run(context.shutdown().clone()));
    }
    let carrying_on = placing::carry_on(placing.clone(), context.clone());
    context.spawn("carry_on_orders", carrying_on);
    Ok(router(Shared {
        placing,
        context: context.clone(),
    }))
}

/// The routes.
pub fn router(state: Shared) -> Router {
    let service = OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(find));
    kit::routes::complete(service, state)
}

/// Place an order
#[utoipa::path(post, path = "/orders", tag = NAME, request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Any text of your own; a request repeated with it places one order")),
    responses(
        (status = 201, body = Created),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 402, description = "The payment was declined", body = ErrorBody),
        (status = 409, description = "Too little stock, or the first request with this key is still under way", body = ErrorBody),
        (status = 422, description = "A value cannot be accepted, a user or product is unknown, or the key was used for something else", body = ErrorBody),
        (status = 502, description = "A service this one depends on failed", body = ErrorBody),
        (status = 503, description = "A service this one depends on is not available", body = ErrorBody),
        (status = 504, description = "A service this one depends on took too long", body = ErrorBody),
    ))]
async fn create(
    State(shared): State<Shared>,
    IdempotencyKey(key): IdempotencyKey,
    Json(order): Json<NewOrder>,
) -> Result<impl IntoResponse> {
    let placing = shared.placing;
    let work = async move { placing.place(key.as_deref(), &order).await };
    let created = shared.context.see_through("place_order", work).await?;
    let location = format!("/orders/{}", created.order_id);
    let headers: [(HeaderName, String); 1] = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(created)))
}

/// List orders, the newest first
#[utoipa::path(get, path = "/orders", tag = NAME, params(Wanted), responses(
    (status = 200, body = Vec<Order>),
))]
async fn list(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Order>>> {
    let page = Page {
        limit: wanted.limit,
    };
    let store = &shared.placing.store;
    Ok(Json(store.list(wanted.user_id, page.limit()).await?))
}

/// Find an order
#[utoipa::path(get, path = "/orders/{id}", tag = NAME,
    params(("id" = String, Path, description = "Id of the order")),
    responses(
        (status = 200, body = Order),
        (status = 404, description = "There is no such order", body = ErrorBody),
    ))]
async fn find(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Json<Order>> {
    let order = shared.placing.store.find(&id).await?;
    order
        .map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no order {id}")))
}
