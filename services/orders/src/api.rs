//! What orders sends and receives.

use std::collections::BTreeMap;

use kit::{Error, Id, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most lines of one order.
const MAX_ITEMS: usize = 100;

/// Most units of one product in an order.
const MAX_QUANTITY: i64 = 10_000;

/// An order to be placed.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct NewOrder {
    /// Who orders.
    pub user_id: Id,
    /// What; several lines of one product are added up.
    pub items: Vec<Line>,
}

/// One line of an order to be placed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Line {
    /// Id of the product.
    pub product_id: Id,
    /// Units.
    #[schema(example = 2, minimum = 1, maximum = 10_000)]
    pub quantity: i64,
}

impl NewOrder {
    /// Units per product, if the order can be accepted.
    pub fn check(&self) -> Result<BTreeMap<Id, i64>> {
        if self.items.is_empty() || self.items.len() > MAX_ITEMS {
            return Err(Error::invalid(format!(
                "items: expected 1 to {MAX_ITEMS} lines, got {}",
                self.items.len()
            )));
        }
        let mut wanted = BTreeMap::new();
        for line in &self.items {
            let sum = wanted.entry(line.product_id).or_insert(0_i64);
            *sum = sum.saturating_add(line.quantity);
            if line.quantity < 1 || *sum > MAX_QUANTITY {
                return Err(Error::invalid(format!(
                    "quantity: expected 1 to {MAX_QUANTITY} of product {}, got {}",
                    line.product_id, line.quantity
                )));
            }
        }
        Ok(wanted)
    }
}

/// An order was placed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Created {
    /// `Order created`.
    #[schema(example = "Order created")]
    pub message: String,
    /// Id of the order.
    pub order_id: String,
    /// Where it stands.
    pub status: Status,
    /// What was charged, cents.
    #[schema(example = 12_980)]
    pub total_cents: i64,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is being placed.
    Pending,
    /// The stock is reserved and the customer has paid.
    Confirmed,
    /// It came to nothing; nothing is reserved or charged.
    Failed,
}

/// An order.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Order {
    /// Id, given by the service.
    pub order_id: String,
    /// Who ordered.
    pub user_id: Id,
    /// Where it stands.
    pub status: Status,
    /// What it costs, cents.
    #[schema(example = 12_980)]
    pub total_cents: i64,
    /// Id of its payment, once there is one.
    pub payment_id: Option<String>,
    /// Why it failed, as a code.
    pub reason: Option<String>,
    /// When it was placed, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// What was ordered.
    pub items: Vec<Item>,
}

/// One line of an order.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Item {
    /// Id of the product.
    pub product_id: Id,
    /// Units.
    #[schema(example = 2)]
    pub quantity: i64,
    /// Price of one unit when the order was placed, cents.
    #[schema(example = 6490)]
    pub price_cents: i64,
}

/// Which orders are wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those of this customer.
    #[param(value_type = Option<i64>, example = 1)]
    pub user_id: Option<Id>,
    /// How many at most (1 to 100).
    #[param(default = 50, minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}
