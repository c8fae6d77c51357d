//! Stock and reservations.

use std::collections::BTreeMap;

use kit::{Database, Error, Id, Result, Step, clock, db};
use mesh_telemetry::service::{ShopEvent, emit};
use sqlx::SqliteConnection;

use crate::api::{Item, MAX_UNITS, Reservation, State, Stock};

/// The schema.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "inventory",
        sql: include_str!("../migrations/1_inventory.sql"),
    },
    Step {
        version: 2,
        name: "seed",
        sql: include_str!("../migrations/2_seed.sql"),
    },
];

/// Products the shop opens with. Only these have a series of their own in the
/// metrics: later ones come from requests and would grow without bound.
const SEEDED: i64 = 12;

const STOCK: &str = "SELECT units FROM stock WHERE product_id = ?";
const SET: &str = "INSERT INTO stock (product_id, units) VALUES (?, ?) \
    ON CONFLICT (product_id) DO UPDATE SET units = excluded.units";
const ADD: &str = "INSERT INTO stock (product_id, units) VALUES (?, ?) \
    ON CONFLICT (product_id) DO UPDATE SET units = units + excluded.units RETURNING units";
const TAKE: &str =
    "UPDATE stock SET units = units - ? WHERE product_id = ? AND units >= ? RETURNING units";
const FIND: &str = "SELECT state FROM reservations WHERE order_id = ?";
const ITEMS: &str =
    "SELECT product_id, quantity FROM reserved_items WHERE order_id = ? ORDER BY product_id";
const RESERVE: &str =
    "INSERT INTO reservations (order_id, state, updated_at_ms) VALUES (?, 'reserved', ?)";
const RESERVE_ITEM: &str =
    "INSERT INTO reserved_items (order_id, product_id, quantity) VALUES (?, ?, ?)";
const RELEASE: &str = "INSERT INTO reservations (order_id, state, updated_at_ms) \
    VALUES (?, 'released', ?) \
    ON CONFLICT (order_id) DO UPDATE SET state = 'released', updated_at_ms = excluded.updated_at_ms";

/// Stock and reservations, in the service's database.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// The store in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Stock of a product, if it ever had any.
    pub async fn stock(&self, product: Id) -> Result<Option<Stock>> {
        let find = sqlx::query_scalar(STOCK)
            .bind(product.0)
            .fetch_optional(self.database.pool());
        let units: Option<i64> = db("SELECT", "stock", STOCK, find).await?;
        Ok(units.map(|units| stock(product, units)))
    }

    /// Sets the stock of a product.
    pub async fn set(&self, product: Id, units: i64) -> Result<Stock> {
        let set = sqlx::query(SET)
            .bind(product.0)
            .bind(units)
            .execute(self.database.pool());
        db("INSERT", "stock", SET, set).await?;
        let stock = stock(product, units);
        show(stock);
        Ok(stock)
    }

    /// Adds units to the stock of a product.
    pub async fn restock(&self, product: Id, quantity: i64) -> Result<Stock> {
        let mut write = self.database.write().await?;
        let units = add(&mut write, product, quantity).await?;
        if units > MAX_UNITS {
            return Err(Error::conflict(
                "stock_full",
                format!("product {product} would have more than {MAX_UNITS} units"),
            ));
        }
        write.commit().await?;
        let stock = stock(product, units);
        show(stock);
        Ok(stock)
    }

    /// Sets units aside for an order: all of them or, if one product has too
    /// few, none. The same reservation again changes nothing.
    pub async fn reserve(&self, order: &str, wanted: &BTreeMap<Id, i64>) -> Result<Reservation> {
        let mut write = self.database.write().await?;
        if let Some(present) = find(&mut write, order).await? {
            return agree(present, wanted);
        }
        let reserve = sqlx::query(RESERVE).bind(order).bind(clock::now_ms());
        let reserve = reserve.execute(&mut *write);
        db("INSERT", "reservations", RESERVE, reserve).await?;
        let mut left = Vec::with_capacity(wanted.len());
        for (&product, &quantity) in wanted {
            left.push(take(&mut write, order, product, quantity).await?);
        }
        write.commit().await?;
        left.into_iter().for_each(show);
        Ok(reservation(order, State::Reserved, wanted))
    }

    /// Puts an order's units back into stock, once. An order that never
    /// reserved is marked too, so that it cannot do so later.
    pub async fn release(&self, order: &str) -> Result<Reservation> {
        let mut write = self.database.write().await?;
        let present = find(&mut write, order).await?;
        let mut left = Vec::new();
        let mut items = BTreeMap::new();
        if let Some(present) = present {
            let again = present.state == State::Released;
            items = units(&present.items);
            if again {
                return Ok(present);
            }
        }
        for (&product, &quantity) in &items {
            left.push(stock(product, add(&mut write, product, quantity).await?));
        }
        let release = sqlx::query(RELEASE).bind(order).bind(clock::now_ms());
        let release = release.execute(&mut *write);
        db("INSERT", "reservations", RELEASE, release).await?;
        write.commit().await?;
        left.into_iter().for_each(show);
        Ok(reservation(order, State::Released, &items))
    }

    /// What is or was set aside for an order.
    pub async fn reservation(&self, order: &str) -> Result<Option<Reservation>> {
        let mut connection = self.database.pool().acquire().await?;
        find(&mut connection, order).await
    }
}

async fn find(connection: &mut SqliteConnection, order: &str) -> Result<Option<Reservation>> {
    let state = sqlx::query_scalar::<_, String>(FIND)
        .bind(order)
        .fetch_optional(&mut *connection);
    let Some(state) = db("SELECT", "reservations", FIND, state).await? else {
        return Ok(None);
    };
    let items = sqlx::query_as::<_, (i64, i64)>(ITEMS)
        .bind(order)
        .fetch_all(connection);
    let items = db("SELECT", "reserved_items", ITEMS, items).await?;
    let items = items.into_iter().map(|(id, n)| (Id(id), n)).collect();
    let state = match state.as_str() {
        "reserved" => State::Reserved,
        _ => State::Released,
    };
    Ok(Some(reservation(order, state, &items)))
}

/// A repeated request gets the first one's answer, a different one is refused.
fn agree(present: Reservation, wanted: &BTreeMap<Id, i64>) -> Result<Reservation> {
    if present.state == State::Released {
        return Err(Error::conflict(
            "already_released",
            format!(
                "order {} was released and cannot reserve again",
                present.order_id
            ),
        ));
    }
    if units(&present.items) != *wanted {
        return Err(Error::conflict(
            "already_reserved",
            format!("order {} has reserved other items", present.order_id),
        ));
    }
    Ok(present)
}

async fn take(
    write: &mut SqliteConnection,
    order: &str,
    product: Id,
    quantity: i64,
) -> Result<Stock> {
    let take = sqlx::query_scalar::<_, i64>(TAKE)
        .bind(quantity)
        .bind(product.0)
        .bind(quantity)
        .fetch_optional(&mut *write);
    let Some(left) = db("UPDATE", "stock", TAKE, take).await? else {
        return Err(Error::conflict(
            "insufficient_stock",
            format!("product {product} has fewer than {quantity} units"),
        ));
    };
    let item = sqlx::query(RESERVE_ITEM)
        .bind(order)
        .bind(product.0)
        .bind(quantity)
        .execute(write);
    db("INSERT", "reserved_items", RESERVE_ITEM, item).await?;
    Ok(stock(product, left))
}

async fn add(write: &mut SqliteConnection, product: Id, quantity: i64) -> Result<i64> {
    let add = sqlx::query_scalar(ADD)
        .bind(product.0)
        .bind(quantity)
        .fetch_one(write);
    Ok(db("UPDATE", "stock", ADD, add).await?)
}

fn stock(product_id: Id, units: i64) -> Stock {
    Stock { product_id, units }
}

fn units(items: &[Item]) -> BTreeMap<Id, i64> {
    items.iter().map(|i| (i.product_id, i.quantity)).collect()
}

fn reservation(order: &str, state: State, items: &BTreeMap<Id, i64>) -> Reservation {
    Reservation {
        order_id: order.to_owned(),
        state,
        items: items
            .iter()
            .map(|(&product_id, &quantity)| Item {
                product_id,
                quantity,
            })
            .collect(),
    }
}

/// Shows committed stock in the metrics.
fn show(stock: Stock) {
    if stock.product_id.0 <= SEEDED {
        emit(ShopEvent::Stock {
            product: &stock.product_id.to_string(),
            units: stock.units,
        });
    }
}
