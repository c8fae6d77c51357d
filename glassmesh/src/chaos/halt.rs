//! `glassmesh chaos halt`: all faults off, at once.

use serde_json::json;

use super::{change, receipt::Receipt};
use crate::{console_client::ConsoleAt, failure::Failure};

pub(super) const EXAMPLES: &str = "\
Example:
  glassmesh chaos halt";

pub(super) async fn run(at: &ConsoleAt) -> Result<(), Failure> {
    let client = at.client()?;
    let receipt = Receipt::start();
    client.halt().await?;
    let done = json!({ "halted": true });
    change::finish(&client, at.json, receipt, done, || {
        "all rules are off".to_owned()
    })
    .await
}
