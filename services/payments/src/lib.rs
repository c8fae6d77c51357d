//! The shop's till.
//!
//! `POST /payments`, `GET /payments`, `GET /payments/{id}`,
//! `PUT /payments/refunds/{order_id}`
//!
//! A charge with an `Idempotency-Key` happens once, through whichever instance
//! and however often it is asked for. Giving an order up can be repeated, and
//! wins over a charge that is still on its way.

pub mod api;
pub mod store;

use axum::Router;
use axum::extract::State;
use kit::{
    Context, Error, ErrorBody, IdempotencyKey, Json, Page, Path, Query, Result, ServiceArgs,
    idempotency,
};
use mesh_telemetry::service::{ShopEvent, emit};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{Charge, Charged, Payment, Refunded, Wanted};
use store::{Outcome, Store};

/// Name of the service.
pub const NAME: &str = "payments";

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
    idempotency::prune(&database).await?;
    Ok(router(Store::new(database)))
}

/// The routes.
pub fn router(state: Store) -> Router {
    let service = OpenApiRouter::default()
        .routes(routes!(charge, list))
        .routes(routes!(find))
        .routes(routes!(refund));
    kit::routes::complete(service, state)
}

/// Charge a customer
#[utoipa::path(post, path = "/payments", tag = NAME, request_body = Charge,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Any text of your own; a request repeated with it charges once")),
    responses(
        (status = 200, body = Charged),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 402, description = "Declined: over the limit", body = ErrorBody),
        (status = 409, description = "The order was given up", body = ErrorBody),
        (status = 422, description = "A value cannot be accepted, or the key was used for something else", body = ErrorBody),
    ))]
async fn charge(
    State(store): State<Store>,
    IdempotencyKey(key): IdempotencyKey,
    Json(charge): Json<Charge>,
) -> Result<Json<Charged>> {
    let outcome = match charge.check() {
        Ok(()) => store.charge(&charge, key.as_deref()).await,
        Err(error) => Err(error),
    };
    emit(ShopEvent::PaymentFinished {
        result: match &outcome {
            Ok(Outcome::Charged(_)) => "charged",
            Ok(Outcome::Replayed(_)) => "replayed",
            Err(Error::Refused { .. }) => "declined",
            Err(_) => "failed",
        },
    });
    let (Outcome::Charged(charged) | Outcome::Replayed(charged)) = outcome?;
    Ok(Json(charged))
}

/// List payments, the newest first
#[utoipa::path(get, path = "/payments", tag = NAME, params(Wanted), responses(
    (status = 200, body = Vec<Payment>),
))]
async fn list(
    State(store): State<Store>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Payment>>> {
    let page = Page {
        limit: wanted.limit,
    };
    let order = wanted.order_id.as_deref();
    Ok(Json(store.list(order, page.limit()).await?))
}

/// Find a payment
#[utoipa::path(get, path = "/payments/{id}", tag = NAME,
    params(("id" = String, Path, description = "Id of the payment")),
    responses(
        (status = 200, body = Payment),
        (status = 404, description = "There is no such payment", body = ErrorBody),
    ))]
async fn find(State(store): State<Store>, Path(id): Path<String>) -> Result<Json<Payment>> {
    let payment = store.find(&id).await?;
    payment
        .map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no payment {id}")))
}

/// Give an order up: its money goes back, later charges for it are refused
#[utoipa::path(put, path = "/payments/refunds/{order_id}", tag = NAME,
    params(("order_id" = String, Path, description = "Id of the order")),
    responses((status = 200, body = Refunded)))]
async fn refund(State(store): State<Store>, Path(order): Path<String>) -> Result<Json<Refunded>> {
    let refunded_cents = store.refund(&order).await?;
    emit(ShopEvent::PaymentFinished { result: "refunded" });
    Ok(Json(Refunded {
        message: "Order refunded".to_owned(),
        order_id: order,
        refunded_cents,
    }))
}
