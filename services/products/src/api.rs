//! What products sends and receives.

use kit::{Error, Id, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Highest price, cents: a hundred items of it, ten thousand each, still fit
/// an order's total.
const MAX_PRICE_CENTS: i64 = 100_000_000;

/// Most units a new product can start with.
const MAX_STOCK: i64 = 1_000_000;

/// Units a new product starts with if its maker does not say.
const USUAL_STOCK: i64 = 1_000;

/// Longest name and description, characters.
const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;

/// Most ids in one question.
const MAX_IDS: usize = 100;

/// A product to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewProduct {
    /// Name.
    #[schema(example = "Moka pot", min_length = 1, max_length = 200)]
    pub name: String,
    /// A sentence about it.
    #[schema(example = "Aluminium, six cups", max_length = 2000)]
    pub description: Option<String>,
    /// Price, cents.
    #[schema(example = 3450, minimum = 1, maximum = 100_000_000)]
    pub price_cents: i64,
    /// Units in stock at first; 1000 if left out.
    #[schema(example = 50, minimum = 0, maximum = 1_000_000)]
    pub stock: Option<i64>,
}

impl NewProduct {
    /// Refuses what cannot be sold.
    pub fn check(&self) -> Result<()> {
        let description = self.description.as_deref().unwrap_or_default();
        if self.name.trim().is_empty() || self.name.chars().count() > MAX_NAME {
            return refuse(&format!("name: expected 1 to {MAX_NAME} characters"));
        }
        if description.chars().count() > MAX_DESCRIPTION {
            return refuse(&format!(
                "description: expected at most {MAX_DESCRIPTION} characters"
            ));
        }
        if !(1..=MAX_PRICE_CENTS).contains(&self.price_cents) {
            return refuse(&format!("price_cents: expected 1 to {MAX_PRICE_CENTS}"));
        }
        if !(0..=MAX_STOCK).contains(&self.stock()) {
            return refuse(&format!("stock: expected 0 to {MAX_STOCK}"));
        }
        Ok(())
    }

    /// Units the product starts with.
    #[must_use]
    pub fn stock(&self) -> i64 {
        self.stock.unwrap_or(USUAL_STOCK)
    }
}

fn refuse(message: &str) -> Result<()> {
    Err(Error::invalid(message))
}

/// A product.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Product {
    /// Id, given by the service.
    pub product_id: Id,
    /// Name.
    #[schema(example = "Moka pot")]
    pub name: String,
    /// A sentence about it, `null` if there is none.
    #[schema(example = "Aluminium, six cups")]
    pub description: Option<String>,
    /// Price, cents.
    #[schema(example = 3450)]
    pub price_cents: i64,
}

/// Which products are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Ids, separated by commas; unknown ones are left out of the answer.
    #[param(example = "1,2,3")]
    pub ids: Option<String>,
    /// How many at most (1 to 100), if no ids are given.
    #[param(default = 50, minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}

impl Wanted {
    /// The ids, if some were given.
    pub fn ids(&self) -> Result<Option<Vec<i64>>> {
        let Some(ids) = &self.ids else {
            return Ok(None);
        };
        let ids: Option<Vec<i64>> = ids.split(',').map(|id| id.trim().parse().ok()).collect();
        match ids {
            Some(ids) if ids.len() <= MAX_IDS => Ok(Some(ids)),
            _ => Err(Error::refused(
                http::StatusCode::BAD_REQUEST,
                "invalid_query",
                format!("ids: expected at most {MAX_IDS} numbers with commas, as 1,2,3"),
            )),
        }
    }
}

/// What inventory is told about a new product.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FirstStock {
    pub(crate) units: i64,
}
