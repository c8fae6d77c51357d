//! Orders, and what was promised with them.

use kit::idempotency::{self, Known};
use kit::outbox::{self, Message};
use kit::{Database, Id, Result, Step, clock, db};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::api::{Created, Item, NewOrder, Order, Status};

/// The schema.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "orders",
        sql: include_str!("../migrations/1_orders.sql"),
    },
    Step {
        version: 2,
        name: "idempotency",
        sql: idempotency::SCHEMA,
    },
    Step {
        version: 3,
        name: "outbox",
        sql: outbox::SCHEMA,
    },
];

/// How long placing an order may take before another process takes it up,
/// milliseconds: longer than all its calls together can.
const LEASE_MS: i64 = 60_000;

/// Most abandoned orders taken up at once.
const BATCH: i64 = 10;

const INSERT: &str = "INSERT INTO orders \
    (order_id, user_id, status, total_cents, idempotency_key, created_at_ms, lease_until_ms) \
    VALUES (?, ?, 'pending', ?, ?, ?, ?)";
const INSERT_ITEM: &str =
    "INSERT INTO order_items (order_id, product_id, quantity, price_cents) VALUES (?, ?, ?, ?)";
// Only a pending order can change: whoever comes second finds nothing to do.
const CONFIRM: &str = "UPDATE orders SET status = 'confirmed', payment_id = ? \
    WHERE order_id = ? AND status = 'pending' RETURNING idempotency_key";
const FAIL: &str = "UPDATE orders SET status = 'failed', reason = ? \
    WHERE order_id = ? AND status = 'pending' RETURNING idempotency_key";
const FIND: &str = "SELECT order_id, user_id, status, total_cents, payment_id, reason, created_at_ms \
    FROM orders WHERE order_id = ?";
const ITEMS: &str = "SELECT product_id, quantity, price_cents FROM order_items \
    WHERE order_id = ? ORDER BY product_id";
const LIST: &str = "SELECT order_id, user_id, status, total_cents, payment_id, reason, created_at_ms \
    FROM orders WHERE ?1 IS NULL OR user_id = ?1 ORDER BY created_at_ms DESC LIMIT ?2";
const TAKE_UP: &str = "UPDATE orders SET lease_until_ms = ?1 + ?2 WHERE order_id IN \
    (SELECT order_id FROM orders WHERE status = 'pending' AND lease_until_ms < ?1 LIMIT ?3) \
    RETURNING order_id";

type Row = (
    String,
    i64,
    String,
    i64,
    Option<String>,
    Option<String>,
    i64,
);

/// Orders, in the service's database.
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

    /// What came of an earlier request with this key.
    pub async fn known(&self, key: &str, request: &NewOrder) -> Result<Known<Created>> {
        let mut connection = self.database.pool().acquire().await?;
        idempotency::find(&mut connection, key, request).await
    }

    /// Writes a pending order down and takes its key.
    pub async fn begin(
        &self,
        order: &Order,
        key: Option<&str>,
        request: &NewOrder,
    ) -> Result<Known<Created>> {
        let mut write = self.database.write().await?;
        if let Some(key) = key {
            let known = idempotency::claim(&mut write, key, request).await?;
            if known != Known::Nothing {
                return Ok(known);
            }
        }
        let insert = sqlx::query(INSERT)
            .bind(&order.order_id)
            .bind(order.user_id.0)
            .bind(order.total_cents)
            .bind(key)
            .bind(order.created_at_ms)
            .bind(order.created_at_ms + LEASE_MS)
            .execute(&mut *write);
        db("INSERT", "orders", INSERT, insert).await?;
        insert_items(&mut write, order).await?;
        write.commit().await?;
        Ok(Known::Nothing)
    }

    /// The order is placed: its status, the answer for its key and the
    /// announcement become true together.
    pub async fn confirm(&self, payment: &str, answer: &Created, news: &Message) -> Result<()> {
        let mut write = self.database.write().await?;
        let confirm = sqlx::query_scalar(CONFIRM)
            .bind(payment)
            .bind(&answer.order_id)
            .fetch_optional(&mut *write);
        let found: Option<Option<String>> = db("UPDATE", "orders", CONFIRM, confirm).await?;
        let Some(key) = found else {
            return Ok(());
        };
        if let Some(key) = key {
            idempotency::complete(&mut write, &key, answer).await?;
        }
        outbox::enqueue(&mut write, news).await?;
        Ok(write.commit().await?)
    }

    /// The order came to nothing: its key is free again, and what could not be
    /// undone at once is promised.
    pub async fn fail(&self, order: &str, reason: &str, promises: &[Message]) -> Result<()> {
        let mut write = self.database.write().await?;
        let fail = sqlx::query_scalar(FAIL)
            .bind(reason)
            .bind(order)
            .fetch_optional(&mut *write);
        let found: Option<Option<String>> = db("UPDATE", "orders", FAIL, fail).await?;
        if let Some(Some(key)) = found {
            idempotency::forget(&mut write, &key).await?;
        }
        for promise in promises {
            outbox::enqueue(&mut write, promise).await?;
        }
        Ok(write.commit().await?)
    }

    /// Takes up orders that were left pending by a process that is gone.
    pub async fn take_up_abandoned(&self) -> Result<Vec<Order>> {
        let take_up = sqlx::query_scalar::<_, String>(TAKE_UP)
            .bind(clock::now_ms())
            .bind(LEASE_MS)
            .bind(BATCH)
            .fetch_all(self.database.pool());
        let ids = db("UPDATE", "orders", TAKE_UP, take_up).await?;
        let mut orders = Vec::with_capacity(ids.len());
        for id in ids {
            orders.extend(self.find(&id).await?);
        }
        Ok(orders)
    }

    /// Finds an order.
    pub async fn find(&self, id: &str) -> Result<Option<Order>> {
        let find = sqlx::query_as::<_, Row>(FIND)
            .bind(id)
            .fetch_optional(self.database.pool());
        let Some(row) = db("SELECT", "orders", FIND, find).await? else {
            return Ok(None);
        };
        self.with_items(row).await.map(Some)
    }

    /// The newest orders, of one customer or of all.
    pub async fn list(&self, user: Option<Id>, limit: i64) -> Result<Vec<Order>> {
        let list = sqlx::query_as::<_, Row>(LIST)
            .bind(user.map(|id| id.0))
            .bind(limit)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "orders", LIST, list).await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in rows {
            orders.push(self.with_items(row).await?);
        }
        Ok(orders)
    }

    async fn with_items(&self, row: Row) -> Result<Order> {
        let items = sqlx::query_as::<_, (i64, i64, i64)>(ITEMS)
            .bind(&row.0)
            .fetch_all(self.database.pool());
        let items = db("SELECT", "order_items", ITEMS, items).await?;
        Ok(order(row, items))
    }
}

async fn insert_items(write: &mut Transaction<'_, Sqlite>, order: &Order) -> Result<()> {
    let connection: &mut SqliteConnection = write;
    for item in &order.items {
        let insert = sqlx::query(INSERT_ITEM)
            .bind(&order.order_id)
            .bind(item.product_id.0)
            .bind(item.quantity)
            .bind(item.price_cents)
            .execute(&mut *connection);
        db("INSERT", "order_items", INSERT_ITEM, insert).await?;
    }
    Ok(())
}

fn order(row: Row, items: Vec<(i64, i64, i64)>) -> Order {
    let (order_id, user, status, total_cents, payment_id, reason, created_at_ms) = row;
    Order {
        order_id,
        user_id: Id(user),
        status: match status.as_str() {
            "confirmed" => Status::Confirmed,
            "failed" => Status::Failed,
            _ => Status::Pending,
        },
        total_cents,
        payment_id,
        reason,
        created_at_ms,
        items: items.into_iter().map(item).collect(),
    }
}

fn item((product, quantity, price_cents): (i64, i64, i64)) -> Item {
    Item {
        product_id: Id(product),
        quantity,
        price_cents,
    }
}
