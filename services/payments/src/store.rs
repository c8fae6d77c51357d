//! Payments, each made once.

use kit::idempotency::{self, Known};
use kit::{Database, Error, Result, Step, clock, db};
use sqlx::SqliteConnection;
use uuid::Uuid;

use crate::api::{Charge, Charged, Payment, Status};

/// The schema.
pub const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "payments",
        sql: include_str!("../migrations/1_payments.sql"),
    },
    Step {
        version: 2,
        name: "idempotency",
        sql: idempotency::SCHEMA,
    },
];

const INSERT: &str = "INSERT INTO payments \
    (payment_id, order_id, amount_cents, status, created_at_ms) VALUES (?, ?, ?, 'charged', ?)";
const FIND: &str = "SELECT payment_id, order_id, amount_cents, status, created_at_ms \
    FROM payments WHERE payment_id = ?";
const LIST: &str = "SELECT payment_id, order_id, amount_cents, status, created_at_ms \
    FROM payments WHERE ?1 IS NULL OR order_id = ?1 ORDER BY created_at_ms DESC LIMIT ?2";
const GIVEN_UP: &str = "SELECT count(*) FROM refunded_orders WHERE order_id = ?";
const GIVE_UP: &str = "INSERT INTO refunded_orders (order_id, created_at_ms) VALUES (?, ?) \
    ON CONFLICT (order_id) DO NOTHING";
const REFUND: &str = "UPDATE payments SET status = 'refunded' WHERE order_id = ?";
const REFUNDED: &str = "SELECT coalesce(sum(amount_cents), 0) FROM payments WHERE order_id = ? AND status = 'refunded'";

type Row = (String, String, i64, String, i64);

/// What a charge came to.
#[derive(Debug)]
pub enum Outcome {
    /// The money was taken now.
    Charged(Charged),
    /// It had been taken before, by a request with the same key.
    Replayed(Charged),
}

/// Payments, in the service's database, which its instances share.
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

    /// Makes a payment; with a key, once for this key.
    pub async fn charge(&self, charge: &Charge, key: Option<&str>) -> Result<Outcome> {
        let mut write = self.database.write().await?;
        if let Some(key) = key
            && let Known::Answer(before) = idempotency::claim(&mut write, key, charge).await?
        {
            return Ok(Outcome::Replayed(before));
        }
        let charged = insert(&mut write, charge).await?;
        if let Some(key) = key {
            idempotency::complete(&mut write, key, &charged).await?;
        }
        write.commit().await?;
        Ok(Outcome::Charged(charged))
    }

    /// Gives all money for an order back and refuses later charges for it.
    /// Returns what the customer has back, cents.
    pub async fn refund(&self, order: &str) -> Result<i64> {
        let mut write = self.database.write().await?;
        let give_up = sqlx::query(GIVE_UP).bind(order).bind(clock::now_ms());
        let give_up = give_up.execute(&mut *write);
        db("INSERT", "refunded_orders", GIVE_UP, give_up).await?;
        let refund = sqlx::query(REFUND).bind(order).execute(&mut *write);
        db("UPDATE", "payments", REFUND, refund).await?;
        let sum = sqlx::query_scalar(REFUNDED)
            .bind(order)
            .fetch_one(&mut *write);
        let sum = db("SELECT", "payments", REFUNDED, sum).await?;
        write.commit().await?;
        Ok(sum)
    }

    /// Finds a payment.
    pub async fn find(&self, id: &str) -> Result<Option<Payment>> {
        let find = sqlx::query_as::<_, Row>(FIND)
            .bind(id)
            .fetch_optional(self.database.pool());
        Ok(db("SELECT", "payments", FIND, find).await?.map(payment))
    }

    /// The newest payments, of one order or of all.
    pub async fn list(&self, order: Option<&str>, limit: i64) -> Result<Vec<Payment>> {
        let list = sqlx::query_as::<_, Row>(LIST)
            .bind(order)
            .bind(limit)
            .fetch_all(self.database.pool());
        let rows = db("SELECT", "payments", LIST, list).await?;
        Ok(rows.into_iter().map(payment).collect())
    }
}

async fn insert(write: &mut SqliteConnection, charge: &Charge) -> Result<Charged> {
    let given_up = sqlx::query_scalar::<_, i64>(GIVEN_UP)
        .bind(&charge.order_id)
        .fetch_one(&mut *write);
    if db("SELECT", "refunded_orders", GIVEN_UP, given_up).await? > 0 {
        return Err(Error::conflict(
            "order_given_up",
            format!("order {} was given up and cannot be paid", charge.order_id),
        ));
    }
    let payment_id = Uuid::new_v4().to_string();
    let insert = sqlx::query(INSERT)
        .bind(&payment_id)
        .bind(&charge.order_id)
        .bind(charge.amount_cents)
        .bind(clock::now_ms())
        .execute(write);
    db("INSERT", "payments", INSERT, insert).await?;
    Ok(Charged {
        message: "Payment processed".to_owned(),
        payment_id,
    })
}

fn payment((payment_id, order_id, amount_cents, status, created_at_ms): Row) -> Payment {
    Payment {
        payment_id,
        order_id,
        amount_cents,
        status: match status.as_str() {
            "refunded" => Status::Refunded,
            _ => Status::Charged,
        },
        created_at_ms,
    }
}
