//! What the shop has in stock, and what of it is set aside for orders.
//!
//! `GET|PUT /inventory/{product_id}`, `POST /inventory/{product_id}/restock`,
//! `GET|PUT|DELETE /inventory/reservations/{order_id}`
//!
//! Reserving and releasing are `PUT` and `DELETE` of one thing named by the
//! order: both can be repeated by anybody at any time without a second effect.

pub mod api;
pub mod store;

use axum::Router;
use axum::extract::State;
use kit::{Context, Error, ErrorBody, Id, Json, Path, Result, ServiceArgs};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{Reservation, Reserve, Restock, SetStock, Stock};
use store::Store;

/// Name of the service.
pub const NAME: &str = "inventory";

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
        .routes(routes!(stock, set))
        .routes(routes!(restock))
        .routes(routes!(reservation, reserve, release));
    kit::routes::complete(service, state)
}

/// Stock of a product
#[utoipa::path(get, path = "/inventory/{product_id}", tag = NAME,
    params(("product_id" = i64, Path, description = "Id of the product", example = 1)),
    responses(
        (status = 200, body = Stock),
        (status = 404, description = "The product never had any stock", body = ErrorBody),
    ))]
async fn stock(State(store): State<Store>, Path(product): Path<Id>) -> Result<Json<Stock>> {
    let stock = store.stock(product).await?;
    stock
        .map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no stock of product {product}")))
}

/// Set the stock of a product
#[utoipa::path(put, path = "/inventory/{product_id}", tag = NAME, request_body = SetStock,
    params(("product_id" = i64, Path, description = "Id of the product", example = 1)),
    responses(
        (status = 200, body = Stock),
        (status = 422, description = "A value cannot be accepted", body = ErrorBody),
    ))]
async fn set(
    State(store): State<Store>,
    Path(product): Path<Id>,
    Json(set): Json<SetStock>,
) -> Result<Json<Stock>> {
    set.check()?;
    Ok(Json(store.set(product, set.units).await?))
}

/// Add to the stock of a product
#[utoipa::path(post, path = "/inventory/{product_id}/restock", tag = NAME, request_body = Restock,
    params(("product_id" = i64, Path, description = "Id of the product", example = 1)),
    responses(
        (status = 200, body = Stock),
        (status = 409, description = "There is no room for so much", body = ErrorBody),
        (status = 422, description = "A value cannot be accepted", body = ErrorBody),
    ))]
async fn restock(
    State(store): State<Store>,
    Path(product): Path<Id>,
    Json(restock): Json<Restock>,
) -> Result<Json<Stock>> {
    restock.check()?;
    Ok(Json(store.restock(product, restock.quantity).await?))
}

/// What is set aside for an order
#[utoipa::path(get, path = "/inventory/reservations/{order_id}", tag = NAME,
    params(("order_id" = String, Path, description = "Id of the order")),
    responses(
        (status = 200, body = Reservation),
        (status = 404, description = "The order never reserved anything", body = ErrorBody),
    ))]
async fn reservation(
    State(store): State<Store>,
    Path(order): Path<String>,
) -> Result<Json<Reservation>> {
    let found = store.reservation(&order).await?;
    found
        .map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no reservation for order {order}")))
}

/// Set units aside for an order: all of them, or none
#[utoipa::path(put, path = "/inventory/reservations/{order_id}", tag = NAME, request_body = Reserve,
    params(("order_id" = String, Path, description = "Id of the order")),
    responses(
        (status = 200, body = Reservation),
        (status = 409, description = "Too little stock, or the order reserved otherwise or was released", body = ErrorBody),
        (status = 422, description = "A value cannot be accepted", body = ErrorBody),
    ))]
async fn reserve(
    State(store): State<Store>,
    Path(order): Path<String>,
    Json(reserve): Json<Reserve>,
) -> Result<Json<Reservation>> {
    let wanted = reserve.check()?;
    Ok(Json(store.reserve(&order, &wanted).await?))
}

/// Put an order's units back into stock
#[utoipa::path(delete, path = "/inventory/reservations/{order_id}", tag = NAME,
    params(("order_id" = String, Path, description = "Id of the order")),
    responses((status = 200, body = Reservation)))]
async fn release(
    State(store): State<Store>,
    Path(order): Path<String>,
) -> Result<Json<Reservation>> {
    Ok(Json(store.release(&order).await?))
}
