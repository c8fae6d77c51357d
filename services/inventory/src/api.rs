//! What inventory sends and receives.

use std::collections::BTreeMap;

use kit::{Error, Id, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most units one request may name; sums of them stay far from overflow.
pub const MAX_UNITS: i64 = 1_000_000_000;

/// Most lines of one reservation.
const MAX_ITEMS: usize = 100;

/// Stock of one product.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stock {
    /// Id of the product.
    pub product_id: Id,
    /// Units that can be reserved.
    #[schema(example = 1_000_000, minimum = 0)]
    pub units: i64,
}

/// How many units a product shall have.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct SetStock {
    /// Units that can be reserved.
    #[schema(example = 1000, minimum = 0)]
    pub units: i64,
}

impl SetStock {
    /// Refuses impossible amounts.
    pub fn check(self) -> Result<()> {
        if (0..=MAX_UNITS).contains(&self.units) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "units: expected 0 to {MAX_UNITS}, got {}",
            self.units
        )))
    }
}

/// How many units were delivered to the shop.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct Restock {
    /// Units to add.
    #[schema(example = 100, minimum = 1)]
    pub quantity: i64,
}

impl Restock {
    /// Refuses impossible amounts.
    pub fn check(self) -> Result<()> {
        check_quantity(self.quantity)
    }
}

/// One line of a reservation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Item {
    /// Id of the product.
    pub product_id: Id,
    /// Units.
    #[schema(example = 2, minimum = 1)]
    pub quantity: i64,
}

/// What an order wants to have set aside.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Reserve {
    /// The lines; several of one product are added up.
    pub items: Vec<Item>,
}

impl Reserve {
    /// Units per product, if the lines can be accepted.
    pub fn check(&self) -> Result<BTreeMap<Id, i64>> {
        if self.items.is_empty() || self.items.len() > MAX_ITEMS {
            return Err(Error::invalid(format!(
                "items: expected 1 to {MAX_ITEMS} lines, got {}",
                self.items.len()
            )));
        }
        let mut wanted = BTreeMap::new();
        for item in &self.items {
            check_quantity(item.quantity)?;
            *wanted.entry(item.product_id).or_insert(0) += item.quantity;
        }
        Ok(wanted)
    }
}

fn check_quantity(quantity: i64) -> Result<()> {
    if (1..=MAX_UNITS).contains(&quantity) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "quantity: expected 1 to {MAX_UNITS}, got {quantity}"
    )))
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The units are set aside for the order.
    Reserved,
    /// The units are back in stock, for good.
    Released,
}

/// What is set aside for an order.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reservation {
    /// Id of the order.
    pub order_id: String,
    /// Where it stands.
    pub state: State,
    /// Its lines.
    pub items: Vec<Item>,
}
