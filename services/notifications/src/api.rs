//! What notifications sends and receives.

use kit::{Error, Id, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Longest message, characters.
const MAX_MESSAGE: usize = 2_000;

/// Something a customer shall be told.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct NewNotification {
    /// What to say.
    #[schema(
        example = "Your order is on its way",
        min_length = 1,
        max_length = 2000
    )]
    pub message: String,
    /// Whom to tell.
    pub user_id: Id,
}

impl NewNotification {
    /// Refuses what nobody would want to read.
    pub fn check(&self) -> Result<()> {
        if self.message.trim().is_empty() || self.message.chars().count() > MAX_MESSAGE {
            return Err(Error::invalid(format!(
                "message: expected 1 to {MAX_MESSAGE} characters"
            )));
        }
        Ok(())
    }
}

/// A customer was told.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sent {
    /// `Notification sent`.
    #[schema(example = "Notification sent")]
    pub message: String,
    /// Id of the notification.
    pub notification_id: i64,
}

/// What a customer was told.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notification {
    /// Id, given by the service.
    pub notification_id: i64,
    /// Who was told.
    pub user_id: Id,
    /// What was said.
    #[schema(example = "Your order is on its way")]
    pub message: String,
    /// What it was about, as `order.created`; `null` if a person asked for it.
    #[schema(example = "order.created")]
    pub topic: Option<String>,
    /// When, milliseconds since 1970 UTC.
    pub created_at_ms: i64,
}

/// Which notifications are wanted.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only those to this customer.
    #[param(value_type = Option<i64>, example = 1)]
    pub user_id: Option<Id>,
    /// How many at most (1 to 100).
    #[param(default = 50, minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}
