//! Changes of rules that are there, and how each ends: with a receipt.

use serde_json::json;

use super::{RuleAt, receipt::Receipt, words};
use crate::{
    console_client::ConsoleClient,
    failure::Failure,
    out::{self, BOLD, Styled},
};

pub(super) async fn switch(rule: &RuleAt, enabled: bool) -> Result<(), Failure> {
    let client = rule.at.client()?;
    let receipt = Receipt::start();
    let state = client.switch_rule(&rule.id, enabled).await?;
    let text = || format!("{} is {}", Styled(BOLD, &rule.id), words::status(&state));
    let done = json!({ "rule": state });
    finish(&client, rule.at.json, receipt, done, text).await
}

pub(super) async fn remove(rule: &RuleAt) -> Result<(), Failure> {
    let client = rule.at.client()?;
    let receipt = Receipt::start();
    client.remove_rule(&rule.id).await?;
    let text = || format!("{} is removed", Styled(BOLD, &rule.id));
    let done = json!({ "removed": rule.id });
    finish(&client, rule.at.json, receipt, done, text).await
}

/// Waits until the sidecars hold the change, and shows it.
pub(super) async fn finish(
    client: &ConsoleClient,
    json: bool,
    receipt: Receipt,
    mut done: serde_json::Value,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let receipt = receipt.wait(client).await?;
    if json {
        done["receipt"] = serde_json::to_value(&receipt)?;
        out::json(&done)?;
    } else {
        out::line(text());
        out::line(receipt.line());
    }
    receipt.verdict()
}
