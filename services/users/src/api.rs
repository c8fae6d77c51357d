//! What users sends and receives.

use kit::{Error, Id, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest name or address, characters (an e-mail address cannot be longer).
const MAX_TEXT: usize = 254;

/// A customer to be.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewUser {
    /// Full name.
    #[schema(example = "Ada Winter", min_length = 1, max_length = 254)]
    pub name: String,
    /// E-mail address.
    #[schema(example = "ada@example.com")]
    pub email: Option<String>,
}

impl NewUser {
    /// Refuses what cannot be a name or an address.
    pub fn check(&self) -> Result<()> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > MAX_TEXT {
            return Err(Error::invalid(format!(
                "name: expected 1 to {MAX_TEXT} characters"
            )));
        }
        match &self.email {
            Some(email) if !is_address(email) => Err(Error::invalid(
                "email: expected an address, as ada@example.com",
            )),
            _ => Ok(()),
        }
    }
}

/// Only the obvious: whether an address works is known when mail arrives.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    text.len() <= MAX_TEXT
        && !text.contains(char::is_whitespace)
        && parts.is_some_and(|(who, domain)| !who.is_empty() && !domain.is_empty())
}

/// A customer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// Id, given by the service.
    pub user_id: Id,
    /// Full name.
    #[schema(example = "Ada Winter")]
    pub name: String,
    /// E-mail address, `null` if none is known.
    #[schema(example = "ada@example.com")]
    pub email: Option<String>,
}
