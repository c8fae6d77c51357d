//! What payments sends and receives.

use kit::id::text_or_number;
use kit::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Most that is charged at once, cents: the limit of the shop's account.
pub const LIMIT_CENTS: i64 = 10_000_000;

/// A payment to be made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Charge {
    /// What it is for.
    #[serde(deserialize_with = "text_or_number")]
    #[schema(example = "a8098c1a-f86e-11da-bd1a-00112444be1e")]
    pub order_id: String,
    /// How much, cents.
    #[schema(example = 6490, minimum = 1, maximum = 10_000_000)]
    pub amount_cents: i64,
}

impl Charge {
    /// Refuses impossible amounts, declines those over the limit.
    pub fn check(&self) -> Result<()> {
        if self.amount_cents < 1 {
            return Err(Error::invalid(format!(
                "amount_cents: expected at least 1, got {}",
                self.amount_cents
            )));
        }
        if self.amount_cents > LIMIT_CENTS {
            return Err(Error::refused(
                http::StatusCode::PAYMENT_REQUIRED,
                "payment_declined",
                format!(
                    "{} cents is over the limit of {LIMIT_CENTS} for one payment",
                    self.amount_cents
                ),
            ));
        }
        Ok(())
    }
}

/// A payment was made, now or by an earlier request with the same key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Charged {
    /// `Payment processed`.
    #[schema(example = "Payment processed")]
    pub message: String,
    /// Id of the payment.
    pub payment_id: String,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The customer paid.
    Charged,
    /// The customer has the money back.
    Refunded,
}

/// A payment.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Payment {
    /// Id, given by the service.
    pub payment_id: String,
    /// What it was for.
    pub order_id: String,
    /// How much, cents.
    #[schema(example = 6490)]
    pub amount_cents: i64,
    /// Where it stands.
    pub status: Status,
    /// When it was made, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
}

/// What came of giving an order up.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refunded {
    /// `Order refunded`.
    #[schema(example = "Order refunded")]
    pub message: String,
    /// Id of the order.
    pub order_id: String,
    /// What the customer has back in all, cents; 0 if nothing was charged.
    pub refunded_cents: i64,
}

/// Which payments are wanted.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those for this order.
    pub order_id: Option<String>,
    /// How many at most (1 to 100).
    #[param(default = 50, minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}
