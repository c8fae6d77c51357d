//! The shop's catalog.
//!
//! `POST /products`, `GET /products`, `GET /products/{id}`
//!
//! A new product is announced to inventory with its first stock, so that it can
//! be ordered at once; without inventory no product is added.

pub mod api;
pub mod store;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use http::{HeaderName, Method, StatusCode, header};
use kit::{
    Call, Context, Error, ErrorBody, Id, Json, Page, Path, Peer, Query, Result, ServiceArgs,
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use api::{FirstStock, NewProduct, Product, Wanted};
use store::Store;

/// Name of the service.
pub const NAME: &str = "products";

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The catalog.
    pub store: Store,
    /// Where the first stock is announced.
    pub inventory: Peer,
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

/// Opens the database, finds the peer and makes the router.
pub async fn build(context: &Context) -> Result<Router> {
    let database = context.database(NAME, store::STEPS).await?;
    Ok(router(Shared {
        store: Store::new(database),
        inventory: context.peers().get("inventory")?,
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

/// Add a product
#[utoipa::path(post, path = "/products", tag = NAME, request_body = NewProduct, responses(
    (status = 201, body = Product),
    (status = 400, description = "The body is not JSON", body = ErrorBody),
    (status = 422, description = "A value cannot be accepted", body = ErrorBody),
    (status = 503, description = "Inventory cannot be told", body = ErrorBody),
))]
async fn create(
    State(shared): State<Shared>,
    Json(new): Json<NewProduct>,
) -> Result<impl IntoResponse> {
    new.check()?;
    let context = shared.context.clone();
    let product = context
        .see_through("add_product", async move { add(&shared, new).await })
        .await?;
    let location = format!("/products/{}", product.product_id);
    let headers: [(HeaderName, String); 1] = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(product)))
}

async fn add(shared: &Shared, new: NewProduct) -> Result<Product> {
    let units = new.stock();
    let product = shared.store.add(new).await?;
    let announce = Call::new(Method::PUT, format!("/inventory/{}", product.product_id))
        .json(&FirstStock { units })?;
    if let Err(error) = shared.inventory.tell(announce).await {
        shared.store.remove(product.product_id).await?;
        return Err(error);
    }
    Ok(product)
}

/// List products
#[utoipa::path(get, path = "/products", tag = NAME, params(Wanted), responses(
    (status = 200, body = Vec<Product>),
    (status = 400, description = "The ids cannot be read", body = ErrorBody),
))]
async fn list(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Product>>> {
    let store = &shared.store;
    if let Some(ids) = wanted.ids()? {
        return Ok(Json(store.some(&ids).await?));
    }
    let page = Page {
        limit: wanted.limit,
    };
    Ok(Json(store.list(page.limit()).await?))
}

/// Find a product
#[utoipa::path(get, path = "/products/{id}", tag = NAME,
    params(("id" = i64, Path, description = "Id of the product", example = 1)),
    responses(
        (status = 200, body = Product),
        (status = 404, description = "There is no such product", body = ErrorBody),
    ))]
async fn find(State(shared): State<Shared>, Path(id): Path<Id>) -> Result<Json<Product>> {
    let product = shared.store.find(id).await?;
    product
        .map(Json)
        .ok_or_else(|| Error::not_found(format!("there is no product {id}")))
}
