//! How much of a list is wanted.

use serde::Deserialize;
use utoipa::IntoParams;

/// Query parameters of every list.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many at most (1 to 100).
    #[param(default = 50, minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}

impl Page {
    /// The limit, within its bounds.
    #[must_use]
    pub fn limit(self) -> i64 {
        self.limit.unwrap_or(50).clamp(1, 100)
    }
}
